"""Make the databases of a new cloud: unpack those that were prepared before, or migrate.

`database.py FILE` with the JSON that the role wrote. What is prepared has no secret and no row of
anybody: the next cloud of the same programs takes it instead of migrating for minutes.
"""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SOCKET = "/run/mysqld.sock"
START_SECONDS = 60.0


def main(path: str) -> None:
    """Have the directory there when this ends."""
    facts = json.loads(Path(path).read_text())
    directory = Path(facts["directory"])
    shutil.rmtree(directory, ignore_errors=True)  # of a start that was cut off
    directory.mkdir(mode=0o700)
    prepared = Path(facts["cache"]) / f"database-{digest_of(facts)}.tar.zst"
    if prepared.exists():
        subprocess.run(["tar", "-C", directory, "--zstd", "-xf", prepared], check=True)
        return
    migrate(directory, facts)
    part = prepared.with_suffix(".part")
    subprocess.run(["tar", "-C", directory, "--zstd", "-cSf", part, "."], check=True)
    part.replace(prepared)


def digest_of(facts: dict[str, Any]) -> str:
    """Name what the migrations depend on: the programs, the server and the commands."""
    wheels = sorted(p.name for p in Path(sys.prefix).glob("lib/*/site-packages/*.dist-info"))
    version = subprocess.run(["mariadbd", "--version"], capture_output=True, check=True).stdout
    digest = hashlib.sha256(version)
    digest.update(json.dumps([wheels, facts["databases"]]).encode())
    words = [w for chain in facts["migrations"] for command in chain for w in command]
    digest.update(json.dumps([w for w in words if not w.startswith("/")]).encode())
    return digest.hexdigest()[:16]


def migrate(directory: Path, facts: dict[str, Any]) -> None:
    """Start a server on the empty directory, migrate side by side, and stop it in good order."""
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={directory}", "--user=root"]
    subprocess.run(
        [*install, "--auth-root-authentication-method=normal", "--skip-test-db"], check=True
    )
    server = subprocess.Popen(facts["server"])
    try:
        wait_for_socket(server)
        for name in facts["databases"]:
            create = f"create database {name} character set utf8mb3"
            subprocess.run(
                ["mariadb", "--no-defaults", f"--socket={SOCKET}", "-e", create], check=True
            )
        with ThreadPoolExecutor() as pool:
            list(pool.map(run_chain, facts["migrations"]))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def run_chain(commands: list[list[str]]) -> None:
    """Run one command after the other."""
    for command in commands:
        before = time.monotonic()
        subprocess.run(command, check=True)
        print(f"{time.monotonic() - before:6.1f} s  {' '.join(command[:4])}", flush=True)


def wait_for_socket(server: subprocess.Popen[bytes]) -> None:
    """Return when the server takes connections."""
    deadline = time.monotonic() + START_SECONDS
    while not Path(SOCKET).exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("MariaDB did not start.")
        time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1])
