"""What the disk of a server in OpenStack is, and what is not on it."""

import hashlib
import importlib.util
import json
import subprocess
from types import ModuleType

import pytest

from tests.images import PLAYBOOKS, prepared_disk

GOOD = {
    "format": 1,
    "server_id": "hst_01m87n9d92fkbtmj3dphcsd70q",
    "user_ca": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGzFqi3/bweZGB8CVU48Ak5ebubysEppdq9locvaq7Oq x",
    "limits": {"memory_mib": 128, "cpu_millis": 500, "pids": 64, "disk_mib": 512},
}


def a_part(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        name, PLAYBOOKS / "roles" / "guest" / "files" / f"{name}.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WISH = a_part("guest_wish")


def test_a_server_understands_what_its_cloud_tells_it() -> None:
    wish = WISH.parse(json.dumps(GOOD).encode())
    assert wish.server_id == GOOD["server_id"]
    assert wish.user_ca == " ".join(str(GOOD["user_ca"]).split()[:2])
    assert wish.limits == GOOD["limits"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"format": 2}, "format"),
        ({"server_id": "ten_01m87n9d92fkbtmj3dphcsd70q"}, "server_id"),
        ({"user_ca": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ=="}, "user_ca"),
        ({"user_ca": f"{GOOD['user_ca']}\nssh-ed25519 AAAA"}, "user_ca"),
        ({"user_ca": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"}, "user_ca"),
        ({"limits": {"memory_mib": 1, "cpu_millis": 1, "pids": "64"}}, "limits.pids"),
        ({"limits": []}, "limits"),
    ],
)
def test_what_is_wrong_in_user_data_is_named(change: dict[str, object], field: str) -> None:
    with pytest.raises(WISH.BadWish, match=f"^{field}$"):
        WISH.parse(json.dumps({**GOOD, **change}).encode())


@pytest.mark.root
def test_a_disk_is_the_one_that_its_record_tells_of() -> None:
    disk = prepared_disk()
    record = json.loads(disk.with_suffix(".json").read_text())
    assert record["digest"] == f"sha256:{disk.stem}"
    with disk.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == record["sha256"]
    assert disk.stat().st_size == record["min_disk_mib"] << 20
    checked = ["e2fsck", "-fn", str(disk)]
    assert subprocess.run(checked, capture_output=True, check=False).returncode == 0


@pytest.mark.root
def test_no_key_is_on_the_disk_that_each_server_starts_from() -> None:
    argv = ["debugfs", "-R", "ls -l /etc/ssh", str(prepared_disk())]
    listed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "moduli" in listed or "ssh_config" in listed
    assert "_key" not in listed
