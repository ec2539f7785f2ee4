#!/usr/bin/python3 -IS
"""Run PostgreSQL in its server, and keep its accounts.

postgresql run COMMAND…   make the cluster and its key if there are none, become PostgreSQL
postgresql accounts       read on standard input which database and users there shall be
                          (`--check`: change nothing), and say what that changed
"""

import base64
import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

DATA = Path("/srv/data/main")
KEYS = Path("/srv/data/tls")
BALLAST = Path("/srv/data/ballast")  # guard.py keeps it
SOCKET = Path("/run/postgresql")
BIN = Path("/usr/lib/postgresql/15/bin")
CERTIFICATE_DAYS = 3650
LEAST_FREE = 24 << 20  # PostgreSQL can't recover without; guard.py sees that it comes back
OUT_OF_MEMORY = "500"  # the kernel kills a session before the postmaster (PostgreSQL 15, 19.4.4)
NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
OURS = "made by Edubba"
WRITES = "SET default_transaction_read_only = off"  # also while the disk is nearly full
GOODBYE_MS = 5000
STARTS_IN_S = 30.0  # a new cluster takes 3, a recovery as long as its log
ITERATIONS = 4096  # PostgreSQL's own
_SIOCGIFADDR = 0x8915  # linux/sockios.h


def _run(argv: list[str], stdin: str | None = None) -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{Path(argv[0]).name}: {done.stderr.strip()[-2000:]}")
    return done.stdout


# Starting


def ensure_cluster() -> None:
    """Make the cluster, once; what a crash left half made is made again."""
    if (DATA / "PG_VERSION").is_file():
        return
    new = DATA.with_name("main.new")
    shutil.rmtree(new, ignore_errors=True)
    DATA.parent.mkdir(exist_ok=True)
    options = ["--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]
    _run([str(BIN / "initdb"), "--pgdata", str(new), "--auth=reject", *options])
    new.rename(DATA)


def _address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        found = fcntl.ioctl(handle, _SIOCGIFADDR, struct.pack("16s24x", b"eth0"))
    return socket.inet_ntoa(found[20:24])


def ensure_key() -> None:
    """Make the key and its certificate for this server's address."""
    address, known = _address(), KEYS / "address"
    if known.is_file() and known.read_text() == address:
        return
    KEYS.mkdir(mode=0o700, parents=True, exist_ok=True)
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-nodes", "-days", str(CERTIFICATE_DAYS), "-subj", f"/CN={address}"]
    argv += ["-addext", f"subjectAltName=IP:{address}"]
    argv += ["-keyout", str(KEYS / "key.pem"), "-out", str(KEYS / "certificate.pem")]
    _run(argv)
    (KEYS / "key.pem").chmod(0o600)
    known.write_text(address)


def _programs() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            yield path.read_text().strip()


def forget_stale_locks() -> None:
    """Let no other program that has a dead postmaster's number now keep PostgreSQL from starting.

    While anything of PostgreSQL lives, its own locks decide.
    """
    if "postgres" not in list(_programs()):
        for lock in (DATA / "postmaster.pid", SOCKET / ".s.PGSQL.5432.lock"):
            lock.unlink(missing_ok=True)


def run(command: list[str]) -> None:
    """Become PostgreSQL."""
    os.umask(0o077)
    if shutil.disk_usage(DATA.parent).free < LEAST_FREE:
        BALLAST.unlink(missing_ok=True)
    os.environ["PG_OOM_ADJUST_FILE"] = "/proc/self/oom_score_adj"
    os.environ["PG_OOM_ADJUST_VALUE"] = OUT_OF_MEMORY
    SOCKET.mkdir(mode=0o755, exist_ok=True)
    ensure_cluster()
    ensure_key()
    forget_stale_locks()
    os.execv(command[0], command)


# Accounts


def query(*statements: str, database: str = "postgres") -> list[list[str]]:
    """Run statements as the superuser and return the last one's rows."""
    argv = ["psql", "-h", str(SOCKET), "-U", "postgres", "-d", database, "-XqAt", "-v"]
    argv += ["ON_ERROR_STOP=1", "-F", "\x1f", "-f", "-"]
    rows = _run(argv, ";\n".join(statements) + ";\n").splitlines()
    return [row.split("\x1f") for row in rows]


def new_verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """Return what PostgreSQL keeps of a password (RFC 5803)."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = (salt, hashlib.sha256(client).digest(), server)
    told = [base64.b64encode(part).decode() for part in parts]
    return f"SCRAM-SHA-256${iterations}:{told[0]}${told[1]}:{told[2]}"


def is_of(verifier: str, password: str) -> bool:
    """Whether a verifier is that of a password."""
    match = re.fullmatch(r"SCRAM-SHA-256\$(\d+):([^$]+)\$.*", verifier)
    if not match:
        return False
    again = new_verifier(password, base64.b64decode(match[2]), int(match[1]))
    return hmac.compare_digest(verifier, again)


Change = tuple[str, Callable[[], object]]


def list_changes(wish: Mapping[str, Any]) -> Iterator[Change]:
    """Give what has to change and how: the database, its users, nobody else's rights."""
    name, owner, users = wish["database"], wish["owner"], wish["users"]
    for one in (name, owner, *users):
        if not NAME.fullmatch(one) or one.startswith("pg_") or one == "postgres":
            raise SystemExit(f"{one!r} is no name of a database or user")
    known = {
        row[0]: (row[1], row[2])
        for row in query(
            "SELECT r.rolname, coalesce(r.rolpassword, ''), "
            "coalesce(shobj_description(r.oid, 'pg_authid'), '') FROM pg_authid r"
        )
    }
    if owner not in known:
        yield f"make {owner}", partial(query, f'CREATE ROLE "{owner}" NOLOGIN')
    if [name] not in query("SELECT datname FROM pg_database"):
        yield f"make {name}", partial(_make_database, name, owner)
    for user, password in users.items():
        yield from _user_changes(user, password, owner, known)
    for user, (_, comment) in known.items():
        if comment == OURS and user not in users:
            yield f"remove {user}", partial(_remove, user, owner, name)


def _make_database(name: str, owner: str) -> None:
    query(WRITES, f'CREATE DATABASE "{name}" OWNER "{owner}"')
    query(WRITES, f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')


def _user_changes(
    user: str, password: str, owner: str, known: Mapping[str, tuple[str, str]]
) -> Iterator[Change]:
    if not (password.isascii() and password.isprintable() and password):
        raise SystemExit(f"the password of {user} is not of printable ASCII letters")
    verifier, comment = known.get(user, ("", OURS))
    if comment != OURS or user == owner:
        raise SystemExit(f"{user} is the name of a role already")
    if user not in known:
        yield f"make {user}", partial(_make, user, password, owner)
    elif not is_of(verifier, password):
        yield f"password of {user}", partial(_change_password, user, password)


def _make(user: str, password: str, owner: str) -> None:
    """Each user acts as the owner, so that what it makes belongs to the database."""
    query(
        WRITES,
        "BEGIN",
        f'CREATE ROLE "{user}" IN ROLE "{owner}" LOGIN PASSWORD \'{new_verifier(password)}\'',
        f"COMMENT ON ROLE \"{user}\" IS '{OURS}'",
        f"ALTER ROLE \"{user}\" SET role = '{owner}'",
        "COMMIT",
    )


def _change_password(user: str, password: str) -> None:
    """A new password opens nothing to who came in with the old one."""
    query(WRITES, f"ALTER ROLE \"{user}\" PASSWORD '{new_verifier(password)}'")
    _disconnect(user)


def _remove(user: str, owner: str, database: str) -> None:
    """Close a user, then hand what it may have made in its own name to the owner."""
    query(WRITES, f'ALTER ROLE "{user}" NOLOGIN')
    _disconnect(user)
    query(
        WRITES,
        "BEGIN",
        f'REASSIGN OWNED BY "{user}" TO "{owner}"',
        f'DROP OWNED BY "{user}"',
        f'DROP ROLE "{user}"',
        "COMMIT",
        database=database,
    )


def _disconnect(user: str) -> None:
    which = f"FROM pg_stat_activity WHERE usename = '{user}'"
    query(f"SELECT pg_terminate_backend(pid, {GOODBYE_MS}) {which}")
    if query(f"SELECT pid {which}"):
        raise SystemExit(f"{user} is still connected")


def _wait_until_it_answers() -> None:
    end = time.monotonic() + STARTS_IN_S
    ready = [str(BIN / "pg_isready"), "-q", "-h", str(SOCKET)]
    while subprocess.run(ready, check=False).returncode:
        if time.monotonic() > end:
            raise SystemExit("PostgreSQL does not take connections")
        time.sleep(0.2)  # a program of its own, not a step


def accounts(*, is_check: bool) -> dict[str, Any]:
    """Make the database and its users as they shall be."""
    _wait_until_it_answers()
    changes = []
    for name, carry_out in list_changes(json.load(sys.stdin)):
        if not is_check:
            carry_out()
        changes.append(name)
    return {"changes": changes}


def main() -> int:
    """Do what was asked for."""
    verb, options = sys.argv[1], sys.argv[2:]
    if verb == "run":
        run(options)
    print(json.dumps(accounts(is_check="--check" in options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
