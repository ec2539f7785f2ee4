"""The SSH authority: OpenSSH itself reads what it signs."""

import subprocess
from datetime import timedelta
from ipaddress import IPv4Network
from pathlib import Path

from control_plane.ports.cloud.openstack.certificates import Authority, Key

SOURCES = [IPv4Network("192.0.2.0/24"), IPv4Network("198.51.100.7/32")]
MINUTES = timedelta(minutes=5)


def told(folder: Path, key: Key) -> str:
    path = folder / "seen-cert.pub"
    path.write_text(key.certificate)
    argv = ["ssh-keygen", "-L", "-f", str(path)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_a_certificate_opens_one_server_for_minutes_from_known_places(tmp_path: Path) -> None:
    authority = Authority(tmp_path, SOURCES)
    text = told(tmp_path, authority.issue("hst_1", "worker", MINUTES))
    assert "user certificate" in text
    assert 'Key ID: "worker"' in text
    assert "source-address 192.0.2.0/24,198.51.100.7/32" in text
    principals = text.partition("Principals:")[2].partition("Critical Options:")[0]
    assert principals.split() == ["hst_1"]
    assert "force-command" not in text
    assert "Extensions: (none)" in text


def test_a_runs_certificate_is_good_for_one_command(tmp_path: Path) -> None:
    key = Authority(tmp_path, SOURCES).issue("hst_1", "run_1", MINUTES, "/bin/guest run run_1")
    assert "force-command /bin/guest run run_1" in told(tmp_path, key)


def test_openssh_takes_the_private_key_for_the_certified_one(tmp_path: Path) -> None:
    key = Authority(tmp_path, SOURCES).issue("hst_1", "worker", MINUTES)
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(key.private)
    argv = ["ssh-keygen", "-y", "-f", str(path)]
    public = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()[1]
    argv = ["ssh-keygen", "-l", "-f", "-"]
    text = f"ssh-ed25519 {public}\n"
    done = subprocess.run(argv, check=True, capture_output=True, text=True, input=text)
    assert done.stdout.split()[1] in told(tmp_path, key)


def test_the_authority_is_the_same_after_a_restart_and_its_key_is_nobody_elses(
    tmp_path: Path,
) -> None:
    first = Authority(tmp_path, SOURCES)
    assert Authority(tmp_path, SOURCES).public_key == first.public_key
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]


def test_what_signs_is_not_shown_with_it(tmp_path: Path) -> None:
    key = Authority(tmp_path, SOURCES).issue("hst_1", "worker", MINUTES)
    assert key.private not in repr(key)
