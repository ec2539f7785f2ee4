"""A database on a real server: encrypted, with users of its own, on a disk that may fill up."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from control_plane.kit.ids import new_id
from control_plane.locald.edge_namespace import edge_namespace_path
from control_plane.locald.namespaces import run_inside
from control_plane.ports.automation.port import EventKind, RunState
from control_plane.ports.cloud.port import Target, WireSpec
from tests.automation.world import RunnerWorld
from tests.families.world import APP, MEDIUM, Hosted
from tests.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

WORD = "Correct-Horse-9"


class Database(Hosted):
    """A hosted database, asked as one of its users or as its administrator."""

    def dsn(self, user: str = "app_1", mode: str = "require") -> str:
        return f"host={self.spec.address} user={user} dbname=app sslmode={mode} connect_timeout=10"

    def ask(self, sql: str, dsn: str = "", password: str = WORD) -> tuple[int, str]:
        argv = ["env", f"PGPASSWORD={password}", "psql", "-XqAt", dsn or self.dsn(), "-c", sql]
        done = self.try_to_run(argv, uid=APP)
        return int(done["code"]), (str(done["out"]) + str(done["err"])).strip()

    def administer(self, sql: str) -> str:
        argv = ["psql", "-XqAt", "-h", "/run/postgresql", "-U", "postgres", "-d", "app"]
        return self.run(*argv, "-c", sql, uid=APP).strip()


@pytest.fixture(scope="module")
def database(world: RunnerWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    found = Database(world, "postgres-database", tmp_path_factory.mktemp("pg"))
    found.secrets["users"] = {"app_1": WORD}
    assert found.play(is_check=True).state is RunState.SUCCEEDED  # of what is not there yet
    found.configure()
    yield found
    found.destroy()


@pytest.fixture
def fresh(database: Database) -> Database:
    """The database with its one user, whatever a test before did to its users."""
    if database.secrets["users"] != {"app_1": WORD}:
        database.secrets["users"] = {"app_1": WORD}
        database.configure()
    return database


def test_what_runs_in_a_database_is_seen_to_run_from_outside(fresh: Database) -> None:
    inspect = fresh.world.locald.cloud.inspect_server
    wait_until(lambda: not inspect(fresh.spec.server_id).down)


def test_configuring_again_changes_nothing(fresh: Database) -> None:
    again = fresh.play()
    assert (again.state, again.counts.changed) == (RunState.SUCCEEDED, 0)


def test_pgbench_fills_it_and_runs_from_inside_the_tenant(fresh: Database) -> None:
    dsn, secret = fresh.dsn(), f"PGPASSWORD={WORD}"
    fresh.run("env", secret, "pgbench", "-i", "-q", "-s", "2", dsn, uid=APP)
    said = fresh.run("env", secret, "pgbench", "-c", "4", "-t", "50", dsn, uid=APP)
    assert "number of transactions actually processed: 200/200" in said
    assert "number of failed transactions: 0" in said
    sums = (
        "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = sum(bbalance) FROM pgbench_branches"
    )
    assert fresh.ask(sums) == (0, "t")


def test_pgbench_runs_from_an_attached_hosting_and_from_no_other(fresh: Database) -> None:
    locald, tenant, port = fresh.world.locald, fresh.spec.tenant_id, 5432
    attached, sister, foreign = (
        locald.a_running_server(one, MEDIUM, "postgres-database") for one in (tenant, tenant, None)
    )
    wire = WireSpec(new_id("att"), tenant, attached.server_id, fresh.spec.server_id, port)
    address = locald.cloud.ensure_wire(wire, locald.fence).address
    dsn = f"host={address} user=app_1 dbname=app connect_timeout=5 sslmode=verify-ca"
    certificate = fresh.play().result["certificate"]
    write = f"cat > /tmp/ca.pem <<'END'\n{certificate}END"
    ask = ["env", f"PGPASSWORD={WORD}", "PGSSLROOTCERT=/tmp/ca.pem"]
    for spec in (attached, sister, foreign):
        locald.run_in_server(spec.server_id, "sh", "-c", write)
    locald.run_in_server(attached.server_id, *ask, "pgbench", "-i", "-q", "-s", "2", dsn)
    said = locald.run_in_server(attached.server_id, *ask, "pgbench", "-c", "4", "-t", "50", dsn)
    assert "number of transactions actually processed: 200/200" in said
    for spec in (sister, foreign):
        for host in (address, fresh.spec.address):
            dsn_there = dsn.replace(str(address), str(host))
            refused = f"! psql '{dsn_there}' -c 'SELECT 1' 2>&1"
            told = locald.run_in_server(spec.server_id, *ask, "sh", "-c", refused)
            assert "Network is unreachable" in told
    for spec in (attached, sister, foreign):
        locald.cloud.destroy_server(spec.server_id, locald.fence)


def test_its_certificate_is_that_of_its_address(fresh: Database) -> None:
    told = fresh.play().result
    assert told["services"] == ["postgresql", "guard"]
    assert (told["database"], told["port"]) == ("app", 5432)
    fresh.run("sh", "-c", f"cat > /tmp/ca.pem <<'END'\n{told['certificate']}END")
    dsn = fresh.dsn(mode="verify-full") + " sslrootcert=/tmp/ca.pem"
    assert "SSL connection (protocol: TLSv1.3" in fresh.ask("\\conninfo", dsn)[1]
    code, said = fresh.ask("SELECT 1", dsn.replace(str(fresh.spec.address), "127.0.0.1"))
    assert code != 0
    assert "does not match host name" in said


@pytest.mark.parametrize(
    ("user", "mode", "password", "said"),
    [
        ("app_1", "disable", WORD, "no encryption"),
        ("app_1", "require", "wrong", "password authentication failed"),
        ("postgres", "require", WORD, "pg_hba.conf rejects"),
        ("nobody", "require", WORD, "password authentication failed"),
    ],
)
def test_who_comes_otherwise_is_refused(
    fresh: Database, user: str, mode: str, password: str, said: str
) -> None:
    code, told = fresh.ask("SELECT 1", fresh.dsn(user, mode), password)
    assert code != 0
    assert said in told


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT rolpassword FROM pg_authid", "permission denied"),
        ("CREATE ROLE x", "permission denied"),
        ("ALTER SYSTEM RESET ALL", "permission denied"),
        ("COPY pg_class TO '/tmp/x'", "pg_write_server_files"),
        ("COPY pg_class FROM '/etc/hostname'", "pg_read_server_files"),
        ("SET ROLE postgres", "permission denied"),
    ],
)
def test_a_user_is_the_owner_of_its_database_and_of_nothing_else(
    fresh: Database, sql: str, said: str
) -> None:
    code, told = fresh.ask(sql)
    assert code != 0
    assert said in told


def test_it_takes_the_extensions_that_come_with_postgresql(fresh: Database) -> None:
    assert fresh.ask("CREATE EXTENSION pg_trgm") == (0, "")
    assert fresh.ask("SELECT similarity('سومر', 'سومر')") == (0, "1")


def test_another_password_ends_what_came_in_with_the_old_one(fresh: Database) -> None:
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app_1'"
    with ThreadPoolExecutor() as threads:
        asleep = threads.submit(fresh.ask, "SELECT pg_sleep(50)")
        wait_until(lambda: fresh.administer(sessions) == "1")
        fresh.secrets["users"] = {"app_1": "another"}
        fresh.configure()
        assert fresh.administer(sessions) == "0"
        assert "terminating connection" in asleep.result()[1]
    assert fresh.ask("SELECT 1")[0] != 0
    assert fresh.ask("SELECT 1", password="another") == (0, "1")


def test_a_user_that_is_taken_away_can_not_come_back_but_its_tables_stay(fresh: Database) -> None:
    fresh.secrets["users"] = {"app_1": WORD, "app_2": "second"}
    fresh.configure()
    second = fresh.dsn("app_2")
    assert fresh.ask("CREATE TABLE theirs AS SELECT 42 AS n", second, "second")[0] == 0
    own = "SET ROLE NONE; CREATE SCHEMA own; CREATE TABLE own.n AS SELECT 43 AS n"
    fresh.administer("GRANT CREATE ON DATABASE app TO app_2")
    assert fresh.ask(own, second, "second")[0] == 0
    fresh.secrets["users"] = {"app_1": WORD}
    fresh.configure()
    assert fresh.ask("SELECT 1", second, "second")[0] != 0
    assert fresh.administer("SELECT count(*) FROM pg_roles WHERE rolname = 'app_2'") == "0"
    assert fresh.ask("SELECT n FROM theirs UNION SELECT n FROM own.n ORDER BY n") == (0, "42\n43")
    assert fresh.ask("DROP TABLE theirs")[0] == 0
    assert fresh.ask("DROP SCHEMA own CASCADE")[0] == 0


@pytest.mark.parametrize(
    ("user", "password", "said"),
    [
        ("postgres", "x", "is no name"),
        ("app_owner", "x", "is the name of a role already"),
        ("app_3", "كلمة", "not of printable ASCII"),
        ("app_3", "", "not of printable ASCII"),
        ('app"3', "x", "is no name"),
    ],
)
def test_a_password_or_a_name_that_can_not_be_is_refused(
    fresh: Database, user: str, password: str, said: str
) -> None:
    users = {"app_1": WORD, user: password}
    wish = json.dumps({"database": "app", "owner": "app_owner", "users": users})
    told = fresh.try_to_run(
        ["sh", "-c", 'echo "$1" | /usr/lib/edubba/postgresql accounts', "", wish]
    )
    assert told["code"] != 0
    assert said in told["err"]
    assert fresh.administer("SELECT count(*) FROM pg_roles WHERE rolname = 'app_3'") == "0"
    assert fresh.ask("SELECT 1") == (0, "1")


def test_a_check_tells_of_a_new_user_and_makes_none(fresh: Database) -> None:
    fresh.secrets["users"] = {"app_1": WORD, "app_9": "ninth"}
    told = fresh.play(is_check=True)
    fresh.secrets["users"] = {"app_1": WORD}
    assert told.counts.changed > 0
    assert fresh.administer("SELECT count(*) FROM pg_roles WHERE rolname = 'app_9'") == "0"


def is_postgresql(address: str) -> bool:
    """Whether it is PostgreSQL that answers there: something in between may accept anything."""
    try:
        with socket.create_connection((address, 5432), timeout=2) as connection:
            connection.sendall(bytes.fromhex("0000000804d2162f"))  # SSLRequest
            return connection.recv(1) == b"S"
    except OSError:
        return False


def test_what_was_changed_by_hand_is_seen_and_mended(fresh: Database) -> None:
    path = "/etc/hosting/postgresql/postgresql.conf"
    fresh.run("sh", "-c", f"echo 'ssl = off' >> {path}; /usr/lib/edubba/services reload postgresql")
    wait_until(lambda: fresh.administer("SHOW ssl") == "off")
    seen = fresh.play(is_check=True)
    changed = [event.task for event in seen.events if event.kind is EventKind.CHANGED]
    assert "What PostgreSQL is told" in changed
    fresh.configure()
    wait_until(lambda: fresh.administer("SHOW ssl") == "on")


def test_nobody_else_on_the_machine_or_in_the_tenant_reaches_it(fresh: Database) -> None:
    world, address = fresh.world.locald, str(fresh.spec.address)
    target = [Target("database", address, 5432)]
    for tenant in (fresh.spec.tenant_id, None):
        other = world.a_running_server(tenant)
        report = world.cloud.probe_isolation(other.server_id, target)
        assert report.controls_passed
        assert {"database", f"server {fresh.spec.server_id}"} <= set(report.tried)
        assert report.reached == ()
        world.cloud.destroy_server(other.server_id, world.fence)
    assert run_inside(edge_namespace_path(world.instance), lambda: is_postgresql(address))
    assert not is_postgresql(address)


def test_its_deployment_is_seen_only_while_postgresql_answers(fresh: Database) -> None:
    nonce = "/.well-known/edubba/deployment"
    page = {"index.html": b"<!doctype html>", "placeholder.css": b"p {}"}
    release = fresh.deploy(page)
    assert fresh.get(nonce) == (200, release.nonce.encode())
    assert [fresh.get("/")[1], fresh.get("/placeholder.css")[1]] == list(page.values())
    for path in ("/../nonce", "/about.json", "//etc/passwd", "/index.php"):
        assert fresh.get(path)[0] == 404
    postmaster = str(fresh.services()["postgresql"]["pid"])
    fresh.run("sh", "-c", f"kill -STOP {postmaster}")
    wait_until(lambda: fresh.get(nonce)[0] == 503, timeout_s=40)
    fresh.run("sh", "-c", f"kill -CONT {postmaster}")
    wait_until(lambda: fresh.get(nonce) == (200, release.nonce.encode()))


def test_what_was_committed_survives_its_crash_and_that_of_its_server(fresh: Database) -> None:
    assert fresh.ask("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")[0] == 0
    before = fresh.services()["postgresql"]["pid"]
    taken = "sed -i '1s/.*/1/' /srv/data/main/postmaster.pid"  # the number of another program now
    fresh.run("sh", "-c", f"{taken}; kill -9 {before}")
    wait_until(lambda: fresh.services()["postgresql"]["pid"] not in {-1, before})
    wait_until(lambda: fresh.ask("SELECT count(*) FROM kept") == (0, "1000"))
    locald = fresh.world.locald
    locald.kill_process(fresh.spec)
    locald.cloud.ensure_server(fresh.spec, fresh.world.fence)
    wait_until(lambda: fresh.ask("SELECT count(*) FROM kept") == (0, "1000"))
    assert fresh.play().counts.changed == 0
    assert fresh.ask("DROP TABLE kept")[0] == 0


def test_a_larger_server_gets_larger_buffers_and_keeps_its_data(fresh: Database) -> None:
    assert fresh.ask("CREATE TABLE before AS SELECT 42 AS n")[0] == 0
    crashes = "grep -c 'not properly shut down' /srv/log/postgresql/current || true"
    before = fresh.run("sh", "-c", crashes)
    fresh.resize(replace(MEDIUM, memory_mib=512, disk_mib=640))
    fresh.configure()
    assert fresh.administer("SHOW shared_buffers") == "128MB"
    wait_until(lambda: fresh.ask("TABLE before") == (0, "42"))
    assert fresh.run("sh", "-c", crashes) == before


FILL = "INSERT INTO filled (text) SELECT repeat(md5(n::text), 30) FROM generate_series(1, {}) n"


def test_a_full_disk_stops_writing_with_a_reason_and_loses_nothing(
    world: RunnerWorld, tmp_path_factory: pytest.TempPathFactory
) -> None:
    small = replace(MEDIUM, disk_mib=256)
    full = Database(world, "postgres-database", tmp_path_factory.mktemp("full"), limits=small)
    full.secrets["users"] = {"app_1": WORD}
    full.configure()
    assert full.ask("CREATE TABLE filled (n serial, text text)")[0] == 0
    rows = 0
    while (answer := full.ask(FILL.format(4000)))[0] == 0:
        rows += 4000
    wait_until(lambda: "read-only transaction" in full.ask(FILL.format(1))[1])
    assert rows >= 4000, answer
    assert full.ask("SELECT count(*) FROM filled") == (0, str(rows))
    assert full.ask("BEGIN READ WRITE; TRUNCATE filled; COMMIT")[0] == 0
    wait_until(lambda: full.ask(FILL.format(1))[0] == 0)
    code, said = full.ask(f"BEGIN READ WRITE; {FILL.format(400_000)}; COMMIT")  # > the disk
    assert code != 0, said
    wait_until(lambda: full.ask("SELECT count(*) FROM filled") == (0, "1"))
    full.resize(replace(small, disk_mib=1024))
    wait_until(lambda: full.ask(FILL.format(1))[0] == 0)
    assert full.play().counts.failed == 0
    full.destroy()
