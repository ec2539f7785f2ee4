"""A PHP site on a real server: configured, released to, looked at from where the edge stands."""

import http.client
import json
import re
from contextlib import closing
from functools import partial
from urllib.parse import urlencode

import pytest

from control_plane.locald.edge_namespace import edge_namespace_path
from control_plane.locald.namespaces import run_inside
from control_plane.ports.automation.port import EventKind, RunState
from tests.automation.world import RunnerWorld
from tests.families.load import visitors
from tests.families.world import APP, Hosted
from tests.locald.world import Release
from tests.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

AWKWARD = "a'b\"c$d\\e`f{{ g }}#h\nline 2\t=%; سرّ"
HELLO = {"index.php": b"<?php echo 'from Ur, by PHP ' . PHP_MAJOR_VERSION;"}
WRITES = b"""<?php
$path = __DIR__ . '/' . ($_GET['in'] ?? 'uploads') . '/' . basename($_GET['name'] ?? 'x');
if (isset($_GET['text'])) { file_put_contents($path, $_GET['text']); }
echo file_exists($path) ? file_get_contents($path) : 'nothing';
"""


@pytest.fixture(scope="module")
def site(world: RunnerWorld, tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    hosted = Hosted(world, "php-site", tmp_path_factory.mktemp("php"))
    hosted.environment["AWKWARD"] = AWKWARD
    hosted.configure(
        extensions=["mbstring", "xml"],
        persistent_paths=["uploads", "wiki/pages"],
        private_paths=["secret"],
        schedule=["* * * * * date >> /srv/persistent/uploads/times"],
    )
    return hosted


def test_a_release_is_executed(site: Hosted) -> None:
    site.deploy(HELLO)
    assert site.get("/") == (200, b"from Ur, by PHP 8")


def test_configuring_again_changes_nothing(site: Hosted) -> None:
    again = site.play()
    assert (again.state, again.counts.changed) == (RunState.SUCCEEDED, 0)


def test_a_check_tells_what_would_change_and_changes_nothing(site: Hosted) -> None:
    before = site.run("sha256sum", "/etc/hosting/nginx.conf", "/etc/hosting/php/php.ini")
    upload_mib = site.inputs.get("upload_mib", 16)
    site.inputs["upload_mib"] = 31
    told = site.play(is_check=True)
    site.inputs["upload_mib"] = upload_mib
    assert told.state is RunState.SUCCEEDED
    assert told.counts.changed > 0
    assert site.run("sha256sum", "/etc/hosting/nginx.conf", "/etc/hosting/php/php.ini") == before


def test_what_was_changed_by_hand_is_seen_and_mended(site: Hosted) -> None:
    site.run("sh", "-c", "echo '# by hand' >> /etc/hosting/nginx.conf")
    seen = site.play(is_check=True)
    changed = [event.task for event in seen.events if event.kind is EventKind.CHANGED]
    assert any("web server" in task for task in changed), changed
    site.configure()
    assert "by hand" not in site.run("cat", "/etc/hosting/nginx.conf")
    assert site.play().counts.changed == 0


def test_extensions_are_those_that_were_chosen(site: Hosted) -> None:
    page = b"<?php echo json_encode(array_map('extension_loaded', ['xml', 'gd', 'intl', 'ffi']));"
    site.deploy({"index.php": page})
    assert json.loads(site.get("/")[1]) == [True, False, False, False]
    site.configure(extensions=["mbstring", "xml", "gd"])
    assert json.loads(site.get("/")[1]) == [True, True, False, False]


def test_nothing_in_the_server_is_root_or_may_do_more_than_a_user(site: Hosted) -> None:
    site.get("/")
    lines = site.run("sh", "-c", "cat /proc/[0-9]*/status || true").splitlines()
    users = {line.split()[1] for line in lines if line.startswith("Uid:")}
    assert users == {str(APP), "0"}  # this command's own
    first = site.run("cat", "/proc/1/status")
    assert re.search(rf"Uid:\t{APP}\t", first)
    assert re.search(r"CapEff:\t0+\n", first)
    assert re.search(r"CapBnd:\t0+\n", first)


def test_a_secret_arrives_letter_by_letter_and_nobody_else_reads_it(site: Hosted) -> None:
    site.deploy({"index.php": b"<?php echo getenv('AWKWARD');"})
    assert site.get("/")[1].decode() == AWKWARD
    assert "400" in site.run("stat", "-c", "%a", "/etc/hosting/environment.json")
    denied = site.try_to_run(["cat", "/etc/hosting/environment.json"], uid=990)
    assert denied["code"] != 0
    assert AWKWARD not in site.run("sh", "-c", "cat /proc/[0-9]*/cmdline || true")
    site.environment["AWKWARD"] = "another"
    site.configure()
    assert site.get("/")[1] == b"another"


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (b"<?php echo 'begun'; flush(); undefined_function();", "undefined_function"),
        (b"<?php this is no PHP", "Parse error"),
        (b"<?php str_repeat('x', 1 << 30);", "Allowed memory size"),
        (b"<?php http_response_code(503); echo 'not ready';", "503"),
    ],
    ids=["fatal", "parse", "memory", "503"],
)
def test_a_release_with_an_error_stays_away_and_its_owner_reads_why(
    site: Hosted, page: bytes, said: str
) -> None:
    site.deploy(HELLO)
    result = site.check(Release(site.folder, {"index.php": page}))
    assert not result.passed
    assert said in result.output
    assert site.get("/") == (200, b"from Ur, by PHP 8")


def test_an_error_of_another_release_is_not_held_against_the_next(site: Hosted) -> None:
    bad = Release(site.folder, {"index.php": b"<?php undefined_function();"})
    assert not site.check(bad).passed
    assert site.check(Release(site.folder, HELLO)).passed


def test_what_visitors_leave_survives_releases_and_rollbacks(site: Hosted) -> None:
    def read(name: str, **also: str) -> str:
        return site.get("/?" + urlencode({"in": "wiki/pages", "name": name, **also}))[1].decode()

    first = site.deploy({"index.php": WRITES, "wiki/pages/seed": b"from the first release"})
    assert read("seed") == "from the first release"
    read("word", text="كلمة")
    site.deploy({"index.php": WRITES + b"// 2", "wiki/pages/seed": b"from the second"})
    assert [read("word"), read("seed")] == ["كلمة", "from the first release"]
    again = Release(site.folder, first.contents)
    assert site.check(again).passed
    site.switch(again)
    assert read("word") == "كلمة"
    assert site.get("/wiki/pages/word") == (200, "كلمة".encode())


def test_a_program_that_a_visitor_left_is_not_executed(site: Hosted) -> None:
    site.deploy({"index.php": WRITES})
    for name in ("evil.php", "evil.phtml", "evil.PHP7"):
        site.get("/?" + urlencode({"name": name, "text": "<?php echo 6*7;"}))
        assert b"42" not in site.get(f"/uploads/{name}")[1]
        assert b"42" not in site.get(f"/uploads/{name}/x.php")[1]


def test_private_and_hidden_files_are_not_shown(site: Hosted) -> None:
    site.deploy(
        {**HELLO, "secret/a.txt": b"s", "secret/a.php": b"<?=1", ".env": b"s", "a/.b": b"s"}
    )
    for path in ("/secret/a.txt", "/secret/a.php", "/.env", "/a/.b"):
        assert site.get(path)[0] == 404


def test_what_php_complains_of_is_in_the_log_of_the_live_site(site: Hosted) -> None:
    site.deploy({"index.php": b"<?php error_log('a complaint'); echo $undefined; echo 'ok';"})
    assert site.get("/")[1] == b"ok"
    wait_until(lambda: "Undefined variable" in site.run("cat", "/srv/log/php/current"))
    assert "a complaint" in site.run("cat", "/srv/log/php/current")


def test_no_request_is_lost_while_releases_change_under_load(site: Hosted) -> None:
    slow = b"<?php usleep(30000); echo '%d';"
    kept = [site.deploy({"index.php": slow % 0})]
    with visitors(site, "/") as seen:
        for number in range(1, 6):
            kept.append(site.deploy({"index.php": slow % number}))
            site.prune(*kept[-2:])
    assert set(seen.seen) == {"200"}, seen.seen
    assert seen.seen["200"] > 50
    assert set(seen.bodies) == {str(number).encode() for number in range(6)}


def test_what_died_is_started_again(site: Hosted) -> None:
    site.deploy(HELLO)
    for name in ("php", "web"):
        wait_until(lambda: site.get("/")[0] == 200)  # it has children, who may outlive it
        before = site.services()[name]["pid"]
        site.run("kill", "-9", str(before))
        wait_until(partial(_is_another, site, name, before))
    wait_until(lambda: site.get("/") == (200, b"from Ur, by PHP 8"))
    assert all(site.services()[name]["up"] for name in ("php", "web"))


def _is_another(site: Hosted, name: str, before: int) -> bool:
    return site.services()[name]["pid"] not in {-1, before}


def test_everything_is_back_after_its_first_process_was_killed(site: Hosted) -> None:
    site.deploy(HELLO)
    locald = site.world.locald
    locald.kill_process(site.spec)
    locald.cloud.ensure_server(site.spec, site.world.fence)
    wait_until(lambda: site.get("/") == (200, b"from Ur, by PHP 8"))
    assert site.play().counts.changed == 0


def test_a_command_runs_at_its_times_until_it_is_taken_away(site: Hosted) -> None:
    def has_run() -> bool:
        return bool(site.try_to_run(["cat", "/srv/persistent/uploads/times"])["code"] == 0)

    wait_until(has_run, timeout_s=90)
    site.configure(schedule=[])
    assert "schedule-1" not in site.services()


def _read(wiki: Hosted, page: str) -> str:
    status, body = wiki.get(f"/doku.php?id={page}")
    assert status == 200
    return body.decode()


def _edit(wiki: Hosted, page: str, text: str) -> None:
    """Edit a page as a person does: get the form, send it back filled in."""
    locald = wiki.world.locald
    address = f"/doku.php?id={page}&do=edit"
    _, headers, body = locald.get(wiki.spec.address, address)
    cookie = headers["set-cookie"].partition(";")[0]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', body.decode()))
    fields |= {"wikitext": text, "do[save]": "1", "id": page, "summary": ""}
    edge = edge_namespace_path(locald.instance)
    status = run_inside(edge, lambda: _post(str(wiki.spec.address), address, fields, cookie))
    assert status in {200, 302}


def _post(address: str, path: str, fields: dict[str, str], cookie: str) -> int:
    kind = "application/x-www-form-urlencoded"
    with closing(http.client.HTTPConnection(address, 80, timeout=30)) as connection:
        headers = {"Cookie": cookie, "Content-Type": kind}
        connection.request("POST", path, urlencode(fields), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
