"""A Python application on a real server: wheels, checks, hand-overs under load, bad releases."""

from collections.abc import Mapping
from functools import partial
from urllib.parse import urlencode

import pytest

from control_plane.ports.automation.port import EventKind, RunState
from control_plane.ports.cloud.port import LOG_BYTES_MAX
from tests.automation.world import RunnerWorld
from tests.families.load import visitors
from tests.families.python import ASGI, WSGI, a_wheel, an_app, carrying
from tests.families.world import APP, Hosted
from tests.locald.world import Release
from tests.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

AWKWARD = "a'b\"c$d\\e`f{{ g }}#h\nline 2\t=%; سرّ \n"


@pytest.fixture(scope="module")
def site(world: RunnerWorld, tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    hosted = Hosted(world, "python-app", tmp_path_factory.mktemp("python"))
    hosted.environment["AWKWARD"] = AWKWARD
    hosted.configure(
        application="app:application",
        persistent_paths=["data"],
        generated_paths=["static"],
        static_path="static",
        release_commands=["test ! -f collect.py || python collect.py"],
        migrate="test ! -f migrate.py || python migrate.py",
        migrate_timeout_s=4,
        start_timeout_s=8,
        schedule=["* * * * * python -c 'import sys; print(sys.prefix)' >> data/times"],
    )
    return hosted


def refusal(site: Hosted, contents: Mapping[str, bytes], path: str = "/") -> str:
    """Check a release that must not go live; return what its owner reads."""
    result = site.check(Release(site.folder, contents), path)
    assert not result.passed
    return result.output


def shown(site: Hosted) -> bytes:
    """Return what a live release answers; one is made live only where there is none."""
    if not site.get("/")[1].startswith(b"release "):
        site.deploy(an_app())
    status, body = site.get("/")
    assert status == 200
    return body


def is_as_before(site: Hosted, answer: bytes) -> bool:
    """Whether visitors see what they saw, and nothing is left of what was tried."""
    processes = site.run("sh", "-c", "cat /proc/[0-9]*/comm || true").split()
    is_tidy = processes.count("gunicorn") + processes.count("python") <= 3
    return (
        is_tidy
        and site.get("/") == (200, answer)
        and all(site.services()[name]["up"] for name in ("web", "app-a", "app-b"))
    )


def test_a_page_shows_until_there_is_an_application(site: Hosted) -> None:
    site.deploy({"index.html": b"being prepared", ".placeholder": b"", "x.css": b"a{}"})
    assert site.get("/") == (200, b"being prepared")
    assert site.get("/x.css")[0] == 200
    assert site.get("/.placeholder")[0] == 404


def test_a_release_is_served(site: Hosted) -> None:
    site.deploy(an_app())
    assert site.get("/") == (200, b"release 1")


def test_configuring_again_changes_nothing(site: Hosted) -> None:
    again = site.play()
    assert (again.state, again.counts.changed) == (RunState.SUCCEEDED, 0)


def test_a_check_tells_what_would_change_and_changes_nothing(site: Hosted) -> None:
    before = site.run("sha256sum", "/etc/hosting/python.json", "/etc/hosting/nginx.conf")
    site.inputs["interface"] = "asgi"
    told = site.play(is_check=True)
    site.inputs["interface"] = "wsgi"
    assert (told.state, told.counts.changed > 0) == (RunState.SUCCEEDED, True)
    assert site.run("sha256sum", "/etc/hosting/python.json", "/etc/hosting/nginx.conf") == before


def test_what_was_changed_by_hand_is_seen_and_mended(site: Hosted) -> None:
    site.run("sh", "-c", "sed -i s/wsgi/asgi/ /etc/hosting/python.json")
    seen = site.play(is_check=True)
    changed = [event.task for event in seen.events if event.kind is EventKind.CHANGED]
    assert any("What is to be run" in task for task in changed), changed
    site.configure()
    assert site.play().counts.changed == 0
    wait_until(lambda: site.get("/") == (200, b"release 1"))


def test_settings_arrive_letter_by_letter_and_a_change_loses_no_request(site: Hosted) -> None:
    site.deploy(an_app())
    asked = "/environment?name=AWKWARD"
    assert site.get(asked)[1].decode() == AWKWARD
    assert AWKWARD.strip() not in site.run("sh", "-c", "cat /proc/[0-9]*/cmdline || true")
    with visitors(site, asked) as seen:
        site.environment["AWKWARD"] = "another"
        site.configure()
        wait_until(lambda: site.get(asked)[1] == b"another")
    assert set(seen.seen) == {"200"}, seen.seen
    del site.environment["AWKWARD"]
    site.configure()
    wait_until(lambda: site.get(asked)[1] == b"-")


OWN_SERVER = """
import http.server
http.server.HTTPServer(("0.0.0.0", 8000), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
SAYS_NO = "application = lambda environ, start: [start('503 No', []) and b'no database']"
EATS = "def application(environ, start):\n    return [b'x' * (1 << 20) for _ in range(1 << 20)]"
EATS_AT_ONCE = "kept = []\nwhile True: kept.append(bytearray(1 << 20))"
FORKS = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
FILLS = "with open('data/large', 'wb') as file:\n    while True: file.write(bytes(1 << 20))"
DIES = """
import os, sys
if "gunicorn" in sys.argv[0]:
    os._exit(9)
def application(environ, start): ...
"""


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("import nothing_of_the_kind", "No module named 'nothing_of_the_kind'"),
        ("application = 1 +", "SyntaxError"),
        ("other = 1", "application"),
        (OWN_SERVER, "was not done after 8 s"),
        (SAYS_NO, "no database"),
        (EATS_AT_ONCE, "more memory than its size has"),
        (EATS, "SIGKILL"),
        (DIES, "exited with code 9"),
        (FORKS, "was not done after 8 s"),
        (FILLS, "No space left on device"),
    ],
    ids=["module", "syntax", "name", "port", "503", "eats", "eats later", "dies", "forks", "fills"],
)
def test_a_bad_release_stays_away_its_owner_reads_why_and_visitors_notice_nothing(
    site: Hosted, module: str, said: str
) -> None:
    before = shown(site)
    with visitors(site, "/", count=1) as seen:
        output = refusal(site, {"app.py": module.encode()})
    assert said in output, output
    assert set(seen.bodies) == {before}, seen.seen
    site.run("rm", "-f", "/srv/persistent/data/large")
    wait_until(lambda: is_as_before(site, before))
    site.deploy(an_app(f"after {said}"))
    assert site.get("/")[1].decode() == f"release after {said}"


def test_a_release_has_its_own_packages_and_they_go_with_it(site: Hosted) -> None:
    site.deploy(an_app())
    module = f"import ziggurat\n{SAYS_NO}".replace("503 No", "200 OK")
    module = module.replace("b'no database'", "ziggurat.NAME")
    kept = []
    for version in ("1.0", "2.0"):
        wheel = a_wheel(f"ziggurat-{version}-py3-none-any.whl", f"NAME = b'ziggurat {version}'")
        kept.append(site.deploy({"app.py": module.encode(), **carrying(wheel)}))
        assert site.get("/") == (200, f"ziggurat {version}".encode())
    before = site.run("ls", "/srv/app/envs").split()
    site.prune(kept[-1])
    wait_until(lambda: len(site.run("ls", "/srv/app/envs").split()) == 1)
    assert len(before) > 1
    assert site.get("/") == (200, b"ziggurat 2.0")


def test_wheels_that_can_not_be_installed_are_named(site: Hosted) -> None:
    site.deploy(an_app("before"))
    for name in (
        "ziggurat-1.0-cp311-cp311-win_amd64.whl",
        "ziggurat-1.0-cp312-cp312-linux_x86_64.whl",
    ):
        assert "ziggurat" in refusal(site, an_app() | carrying(a_wheel(name)))
    damaged = carrying(a_wheel("ziggurat-1.0-py3-none-any.whl"))
    damaged |= dict([a_wheel("ziggurat-1.0-py3-none-any.whl", "other = 1")])
    assert "DO NOT MATCH THE HASHES" in refusal(site, an_app() | damaged)
    assert "`edubba deploy` adds them" in refusal(site, an_app(requirements__txt="six==1.17.0"))
    assert site.get("/") == (200, b"release before")


def test_programs_lie_among_packages_and_nowhere_else(site: Hosted) -> None:
    site.deploy(an_app())
    program = "/srv/persistent/data/program"
    site.run("sh", "-c", f"cp /usr/bin/true {program} && chmod 755 {program}")
    assert site.try_to_run([program])["code"] != 0
    site.run("sh", "-c", "cp /usr/bin/true /srv/app/live/bin/ && /srv/app/live/bin/true")


def test_a_migration_that_fails_or_hangs_keeps_the_old_release(site: Hosted) -> None:
    site.deploy(an_app("before"))
    fails = refusal(site, an_app(migrate__py="raise SystemExit('no such column: city')"))
    assert "no such column: city" in fails
    hangs = refusal(site, an_app(migrate__py="print('locking'); import time; time.sleep(99)"))
    assert "locking" in hangs
    assert "was not done after 4 s" in hangs
    leaves = "import subprocess; subprocess.Popen(['sleep', '98765'], start_new_session=True)"
    site.deploy(an_app("after", migrate__py=leaves))
    running = site.run("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'")
    assert "98765" not in running.split()
    assert site.get("/") == (200, b"release after")


def test_a_migration_runs_once_with_the_settings_before_the_release_is_live(site: Hosted) -> None:
    site.environment["CITY"] = "أور"
    site.configure()
    said = "import os; open('data/migrated', 'a').write(os.environ['CITY'] + '\\n')"
    release = Release(site.folder, an_app("migrated", migrate__py=said))
    assert site.check(release).passed
    assert site.check(release).passed
    assert site.get("/")[1] != b"release migrated"
    site.switch(release)
    assert site.get("/")[1] == b"release migrated"
    assert site.run("cat", "/srv/persistent/data/migrated") == "أور\n"


def test_what_commands_of_a_release_make_is_served_and_goes_with_it(site: Hosted) -> None:
    collect = "open('static/site.css', 'w').write('/* %s */')"
    first = site.deploy(an_app(1, collect__py=collect % 1))
    assert site.get("/static/site.css") == (200, b"/* 1 */")
    second = site.deploy(an_app(2, collect__py=collect % 2))
    assert site.get("/static/site.css") == (200, b"/* 2 */")
    again = Release(site.folder, first.contents)
    assert site.check(again).passed
    site.switch(again)
    assert site.get("/static/site.css") == (200, b"/* 1 */")
    site.prune(again)
    names = partial(site.run, "ls", "/srv/app/generated")
    wait_until(lambda: names().split() == [again.deployment_id])
    assert second.deployment_id not in names()


def test_a_database_in_a_file_survives_releases_and_rollbacks(site: Hosted) -> None:
    first = site.deploy(an_app(1))
    site.get("/notes?" + urlencode({"add": "كلمة"}))
    site.deploy(an_app(2))
    assert site.get("/notes?add=two")[1].decode().endswith("كلمة,two")
    again = Release(site.folder, first.contents)
    assert site.check(again).passed
    site.switch(again)
    assert site.get("/notes")[1].decode().endswith("كلمة,two")
    assert site.get("/")[1] == b"release 1"


def test_no_request_is_lost_while_releases_change_under_load(site: Hosted) -> None:
    kept = [site.deploy(an_app(0))]
    with visitors(site, "/?sleep=0.05") as seen:
        for number in range(1, 5):
            kept.append(site.deploy(an_app(number)))
            site.prune(*kept[-2:])
    assert set(seen.seen) == {"200"}, seen.seen
    assert seen.seen["200"] > 50
    assert set(seen.bodies) == {f"release {number}".encode() for number in range(5)}


def test_a_request_that_is_under_way_is_finished_by_the_release_that_began_it(site: Hosted) -> None:
    site.deploy(an_app("old"))
    with visitors(site, "/?sleep=8", count=1) as seen:
        wait_until(lambda: site.run("cat", "/proc/net/unix").count("/run/app/dep_") > 1)
        site.deploy(an_app("new"))
        assert site.get("/")[1] == b"release new"
        seen.stop()
    assert dict(seen.bodies) == {b"release old": 1}


def test_what_an_application_says_is_in_its_log(site: Hosted) -> None:
    site.deploy(an_app(1) | {"app.py": (WSGI % 1 + "\nprint('a complaint')").encode()})
    logs = "cat /srv/log/app-a/current /srv/log/app-b/current"
    wait_until(lambda: "a complaint" in site.run("sh", "-c", logs))


LOUD = """
import os, sys
print("مرحبا \\x1b[31mred\\x1b[0m", flush=True)
os.write(1, bytes(range(128, 256)) + b"\\0\\n" + b"y" * 1_000_000 + b"\\n")
for number in range(100_000):
    sys.stdout.write(f"{number:0100}\\n")
print("the last", flush=True)
"""


def test_whatever_an_application_writes_its_log_is_read_in_bounds(site: Hosted) -> None:
    site.deploy(an_app("quiet"))
    cloud, server = site.world.locald.cloud, site.spec.server_id
    before = cloud.read_logs(server, {})
    release = an_app("loud") | {"app.py": (LOUD + WSGI % "loud").encode()}
    site.deploy(release)
    read = partial(cloud.read_logs, server, before.marks)
    wait_until(lambda: any(line.text == "the last" for line in read().lines))
    found = read()
    assert sum(len(line.text.encode()) for line in found.lines) <= LOG_BYTES_MAX
    assert any(count > 1_000_000 for count in found.lost.values())
    assert {line.service for line in found.lines} & {"app-a", "app-b"}
    assert not set(found.lines) & set(cloud.read_logs(server, found.marks).lines)


def test_what_a_release_that_was_refused_said_is_in_the_log(site: Hosted) -> None:
    cloud, server = site.world.locald.cloud, site.spec.server_id
    before = cloud.read_logs(server, {})
    assert "ModuleNotFoundError" in refusal(site, an_app() | {"app.py": b"import ur_of_nowhere"})
    said = cloud.read_logs(server, before.marks).lines
    assert any("ur_of_nowhere" in line.text for line in said)


def test_a_tenant_that_forges_its_log_harms_nobody(site: Hosted) -> None:
    cloud, server = site.world.locald.cloud, site.spec.server_id
    folder = "/srv/log/prepare"
    for forgery in (
        f"mkdir {folder}; mkfifo {folder}/current",
        f"mkdir {folder}; ln -s /etc/passwd {folder}/current",
        f"mkdir {folder}; truncate -s 100G {folder}/current",
        f"mkdir -p {folder}/current",
        f"ln -s / {folder}",
    ):
        site.run("sh", "-c", f"rm -rf {folder}; {forgery}", uid=APP)
        said = cloud.read_logs(server, {}).lines
        assert not any("root:" in line.text for line in said)
        assert {"app-a", "app-b"} & {line.service for line in said}  # the others are read still
    site.run("rm", "-rf", folder, uid=APP)
    site.run("s6-svc", "-t", "/run/services/prepare/log")


def test_a_command_runs_at_its_times_with_the_packages_of_what_is_live(site: Hosted) -> None:
    def has_run() -> bool:
        return bool(site.try_to_run(["cat", "/srv/persistent/data/times"])["code"] == 0)

    wait_until(has_run, timeout_s=90)
    assert "/srv/app/" in site.run("cat", "/srv/persistent/data/times")
    site.configure(schedule=[])
    assert "schedule-1" not in site.services()


def test_everything_is_back_after_its_first_process_was_killed(site: Hosted) -> None:
    site.deploy(an_app("back"))
    locald = site.world.locald
    locald.kill_process(site.spec)
    locald.cloud.ensure_server(site.spec, site.world.fence)
    wait_until(lambda: site.get("/") == (200, b"release back"))
    assert site.play().counts.changed == 0


def test_asgi_is_served_and_handed_over_likewise(site: Hosted) -> None:
    site.deploy(an_app("wsgi"))
    site.configure(interface="asgi")
    assert site.get("/") == (200, b"release wsgi")  # what was live stays what was checked
    site.deploy({"app.py": (ASGI % 0).encode()})
    assert site.get("/") == (200, b"0 by asgi, https")
    with visitors(site, "/") as seen:
        for number in range(1, 4):
            site.deploy({"app.py": (ASGI % number).encode()})
    assert set(seen.seen) == {"200"}, seen.seen
    assert set(seen.bodies) == {f"{number} by asgi, https".encode() for number in range(4)}
