"""An application's packages come with its release: chosen for the server, fetched once, pinned.

The index is the one that this machine's pip asks.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from control_plane.blueprints import actions as blueprints
from control_plane.blueprints.rules import Wheels
from control_plane.cli.exits import Stop
from control_plane.cli.target import Target
from control_plane.cli.walking import read_folder
from control_plane.cli.wheels import gather
from control_plane.identity.rules import Role
from control_plane.kit.db import Database
from control_plane.kit.installed import tenants_dir
from control_plane.ledger.rules import SYSTEM
from tests.cli.terminal import Terminal, World, a_world

pytestmark = pytest.mark.slow

DEBIAN = Target("3.11.2", ("manylinux_2_36_x86_64",))
UV = Path(__file__).parents[2] / ".cache" / "bootstrap" / "bin"
SIX = "six-1.17.0-py2.py3-none-any.whl"
SIX_DIGEST = "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274"


@pytest.fixture(scope="module")
def python_world(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Give a data centre whose websites carry wheels."""
    folder = tmp_path_factory.mktemp("wheels")
    shutil.copy(sqlite_template, folder / "edubba.db")
    db = Database(f"sqlite:///{folder / 'edubba.db'}")
    static = blueprints.read_folder(tenants_dir() / "blueprints" / "static-site")
    wheels = Wheels(python=DEBIAN.python, platforms=list(DEBIAN.platforms))
    with a_world(db, folder) as made:
        with db.begin() as session:
            blueprints.register(session, SYSTEM, static.model_copy(update={"wheels": wheels}))
        yield made
    db.close()


@pytest.fixture
def owner(python_world: World) -> Terminal:
    terminal = python_world.person(Role.OWNER, python_world.agency())
    terminal.ask("request", "create", "app", "-b", "static-site", "-s", "small", "--wait")
    return terminal


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edubba" / "wheels"


def written(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def a_wheel(folder: Path, name: str) -> Path:
    """Make a wheel with one module, as somebody builds their own."""
    project, version, *_ = name.split("-")
    about = f"{project}-{version}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr(f"{project}.py", "ANSWER = 42\n")
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return folder / name


def listed(folder: Path, target: Target = DEBIAN) -> list[str]:
    """Return what a release of the folder would pin."""
    found = gather(folder, target, anew=False)
    return found["wheels/requirements.txt"].read_text().splitlines() if found else []


def names(lines: list[str]) -> list[str]:
    return [line.split("==")[0] for line in lines]


def refused(folder: Path, target: Target = DEBIAN) -> Stop:
    with pytest.raises(Stop) as found:
        gather(folder, target, anew=False)
    return found.value


def test_a_release_carries_the_packages_that_its_list_names(
    python_world: World, owner: Terminal
) -> None:
    asked = "markupsafe==3.0.2\nsix==1.17.0\ncolorama==0.4.6; sys_platform == 'win32'\n"
    folder = written(owner.home / "app", {"index.html": "hello", "requirements.txt": asked})
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    first = owner.run("deploy", "app", "--hosting", "app", "--wait", "--json")
    assert first.code == 0, first
    assert first.json["files"] == 5
    assert f"Fetching {SIX}" in first.errors
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before

    host = first.json["url"].split("/")[2]
    lines = python_world.centre.edge.observe(host, "/wheels/requirements.txt").body.decode()
    assert names(lines.splitlines()) == ["markupsafe", "six"]
    carried = python_world.centre.edge.observe(host, f"/wheels/{SIX}").body
    assert f"six==1.17.0 --hash=sha256:{hashlib.sha256(carried).hexdigest()}" in lines

    second = owner.run("deploy", "app", "--hosting", "app", "--wait", "--json")
    assert second.json["uploaded"] == {"blobs": 0, "bytes": 0}
    assert "Fetching" not in second.errors
    assert "2 packages as fetched on" in second.errors
    again = owner.run("deploy", "app", "--hosting", "app", "--renew-wheels", "--json")
    assert "Fetching" in again.errors
    assert again.json["uploaded"]["blobs"] == 0


def test_people_read_in_their_language_which_package_can_not_be_had(owner: Terminal) -> None:
    written(owner.home / "app", {"index.html": "hello", "requirements.txt": "docopt==0.6.2\n"})
    done = owner.run("deploy", "app", "--hosting", "app", "--json")
    assert (done.code, done.json["error"]["code"]) == (6, "wheel_source_only")
    assert "docopt==0.6.2 is published as source alone" in done.errors
    arabic = owner.run("deploy", "app", "--hosting", "app", language="ar")
    assert "docopt==0.6.2" in arabic.errors
    assert "source" not in arabic.errors
    assert owner.ask("deployment", "list", "app")["items"][0]["number"] == 0


def test_other_kinds_of_hosting_take_a_list_as_content(owner: Terminal, world: World) -> None:
    other = world.person(Role.OWNER, world.agency())
    other.ask("request", "create", "site", "-b", "static-site", "-s", "small", "--wait")
    written(other.home / "site", {"index.html": "hello", "requirements.txt": "docopt==0.6.2\n"})
    assert other.ask("deploy", "site", "--hosting", "site", "--wait")["files"] == 2
    assert other.ask("blueprint", "show", "static-site")["wheels"] is None
    shown = owner.ask("blueprint", "show", "static-site")["wheels"]
    assert shown == {"python": "3.11.2", "platforms": ["manylinux_2_36_x86_64"]}


@pytest.mark.parametrize(
    ("asked", "reason", "said"),
    [
        ("docopt==0.6.2", "wheel_source_only", "docopt==0.6.2"),
        ("pywin32==308", "wheel_missing", "pywin32==308"),
        ("six==999", "package_unknown", "six==999"),
        ("edubba-has-no-such-package==1", "package_unknown", "edubba-has-no-such-package==1"),
        (f"six==1.17.0 --hash=sha256:{'0' * 64}", "hash_mismatch", "hash"),
        (f"six==1.17.0 --hash=sha256:{SIX_DIGEST}\ntomli==2.2.1", "hash_missing", "hash"),
        ("requests==2.31.0\nurllib3==1.20", "requirements_conflict", "contradict"),
    ],
)
def test_what_can_not_be_fetched_says_which_and_why(
    tmp_path: Path, asked: str, reason: str, said: str
) -> None:
    stop = refused(written(tmp_path / "app", {"requirements.txt": asked}))
    assert stop.reason == reason
    assert said in stop.title
    assert stop.mend


def test_a_package_for_newer_pythons_alone_says_so(tmp_path: Path) -> None:
    folder = written(tmp_path / "app", {"requirements.txt": "networkx==3.5"})
    assert names(listed(folder)) == ["networkx"]
    stop = refused(folder, Target("3.9.2", DEBIAN.platforms))
    assert (stop.reason, stop.facts["package"]) == ("python_other", "networkx==3.5")


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "--editable=./here",
        "./here",
        "../elsewhere/thing.tar.gz",
        "git+ssh://git.example/thing",
        "thing @ git+https://git.example/thing",
        "thing @ https://files.example/thing-1.tar.gz",
        "--no-binary :all:",
        "two words",
    ],
)
def test_nothing_is_asked_for_that_would_execute_code_here(tmp_path: Path, line: str) -> None:
    asked = f"# ours\nsix==1.17.0 \\\n    --hash=sha256:{'0' * 64}\n{line}  # a remark\n"
    stop = refused(written(tmp_path / "app", {"requirements.txt": asked}))
    assert stop.reason == "requirements_refused"
    assert [error["where"] for error in stop.facts["errors"]] == ["requirements.txt:4"]


def test_a_list_of_another_encoding_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "app", {})
    folder.mkdir()
    (folder / "requirements.txt").write_bytes("six".encode("utf-16"))
    assert refused(folder).reason == "requirements_unreadable"
    written(folder, {"requirements.txt": "-r gone.txt"})
    assert refused(folder).reason == "requirements_unreadable"


def test_lists_may_include_others_and_a_change_there_is_seen(tmp_path: Path) -> None:
    files = {"requirements.txt": "-r lists/base.txt\n-c limits.txt\n", "limits.txt": "six<1.17\n"}
    folder = written(tmp_path / "app", {**files, "lists/base.txt": "six\n"})
    assert listed(folder)[0].startswith("six==1.16.0 ")
    written(folder, {"limits.txt": "six<1.16\n"})
    assert listed(folder)[0].startswith("six==1.15.0 ")


def test_conditions_are_judged_for_the_server_and_not_for_this_machine(tmp_path: Path) -> None:
    asked = "tomli; python_version < '3.12'\nsix; platform_machine == 'aarch64'\ncolorama\n"
    folder = written(tmp_path / "app", {"requirements.txt": asked})
    assert names(listed(folder)) == ["colorama", "tomli"]
    other = Target("3.12.4", ("manylinux_2_36_aarch64",))
    assert names(listed(folder, other)) == ["colorama", "six"]


def test_a_wheel_for_another_platform_is_refused_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    other = "thing-1.0-cp311-cp311-win_amd64.whl", "thing-1.0-cp312-cp312-linux_x86_64.whl"
    newer = "thing-1.0-cp311-cp311-manylinux_2_39_x86_64.whl"
    fitting = "thing-1.0-cp311-abi3-manylinux_2_28_x86_64.whl"
    for name in (*other, newer, fitting):
        a_wheel(folder / "wheels", name)
    written(folder, {"wheels/thing-1.0.tar.gz": "", "requirements.txt": "six==1.17.0"})
    stop = refused(folder)
    assert stop.reason == "wheels_refused"
    assert {error["where"] for error in stop.facts["errors"]} == {
        *(f"wheels/{name}" for name in (*other, newer)),
        "wheels/thing-1.0.tar.gz",
    }


def test_a_wheel_of_ones_own_counts_as_published(tmp_path: Path) -> None:
    folder = written(tmp_path / "app", {"requirements.txt": "ziggurat==1.0\n", "app.py": ""})
    a_wheel(folder / "wheels", "ziggurat-1.0-py3-none-any.whl")
    a_wheel(folder / "wheels", "unused-1.0-py3-none-any.whl")
    found = gather(folder, DEBIAN, anew=False)
    release = read_folder(folder, 2, found)
    assert [file.path for file in release.manifest.files] == [
        "app.py",
        "requirements.txt",
        "wheels/requirements.txt",
        "wheels/ziggurat-1.0-py3-none-any.whl",
    ]


def test_wheels_without_a_list_are_all_carried_each_once(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    a_wheel(folder / "wheels", "ziggurat-1.0-py3-none-any.whl")
    a_wheel(folder / "wheels", "tablet-2.0-py3-none-any.whl")
    assert names(listed(folder)) == ["tablet", "ziggurat"]
    a_wheel(folder / "wheels", "ziggurat-1.1-py3-none-any.whl")
    assert refused(folder).reason == "wheels_doubled"


def test_an_application_without_packages_carries_none(tmp_path: Path) -> None:
    assert gather(written(tmp_path / "app", {"app.py": ""}), DEBIAN, anew=False) == {}


def test_what_was_damaged_in_the_cache_is_fetched_again(tmp_path: Path, cache: Path) -> None:
    folder = written(tmp_path / "app", {"requirements.txt": "six==1.17.0\n"})
    before = listed(folder)
    [kept] = (cache / "files").iterdir()
    kept.write_bytes(b"x")
    assert listed(folder) == before
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == kept.name


def test_an_index_that_does_not_answer_is_told_from_one_that_has_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    folder = written(tmp_path / "app", {"requirements.txt": "six==1.17.0\n"})
    assert refused(folder).reason == "index_unreachable"


def test_a_lock_of_pips_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = written(tmp_path / "app", {})
    folder.mkdir()
    argv = [sys.executable, "-m", "pip", "lock", "-q", "six==1.16.0", "markupsafe==3.0.2"]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    assert (folder / "pylock.toml").is_file()
    assert names(listed(folder)) == ["markupsafe", "six"]
    written(folder, {"pylock.toml": "lock-version = '9.0'\n"})
    assert refused(folder).reason == "lock_unusable"


def a_locked_project(folder: Path, *packages: str) -> Path:
    project = "[project]\nname='ours'\nversion='1'\nrequires-python='>=3.11'\n"
    written(folder, {"pyproject.toml": f"{project}dependencies={list(packages)}\n"})
    argv = [str(UV / "uv"), "lock", "-q", "--python", sys.executable]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    return folder


def test_a_lock_of_uv_is_read_by_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_locked_project(tmp_path / "app", "six==1.16.0", "colorama; sys_platform == 'win32'")
    monkeypatch.setenv("PATH", f"{UV}:{os.environ['PATH']}")
    before = sorted(path.name for path in folder.iterdir())
    assert names(listed(folder)) == ["six"]
    assert sorted(path.name for path in folder.iterdir()) == before
    written(folder, {"uv.lock": "version = 'none'"})
    stop = refused(folder)
    assert (stop.reason, "uv.lock" in stop.title, bool(stop.mend)) == ("lock_unusable", True, True)


def test_without_uv_one_reads_how_to_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_locked_project(tmp_path / "app", "six==1.16.0")
    monkeypatch.setenv("PATH", "/usr/sbin")
    stop = refused(folder)
    assert stop.reason == "uv_missing"
    assert "uv export --no-dev --no-emit-project -o requirements.txt" in stop.mend


def test_environments_and_what_python_left_are_no_content(tmp_path: Path) -> None:
    folder = written(tmp_path / "app", {"app.py": "", "__pycache__/app.cpython-311.pyc": ""})
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    found = read_folder(folder, 2)
    assert [file.path for file in found.manifest.files] == ["app.py"]
    assert found.left_out == ("__pycache__", "env")
