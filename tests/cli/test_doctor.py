"""The doctor says what is wrong and how to mend it, in both languages, and can be wrong itself."""

import dataclasses
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from control_plane.cli import machine
from control_plane.cli.diagnosis import CHECKS, Facts, Group, SocketFact, State, diagnose
from control_plane.cli.doctor import describe
from control_plane.cli.main import app
from control_plane.cli.terminal import locale_of
from control_plane.kit.text import has_translation
from control_plane.settings import Settings

HEALTHY = Facts(
    is_root=True,
    has_sudo=False,
    system="debian 12",
    kernel=(6, 1),
    has_overlay=True,
    user_namespaces=15_000,
    controllers=frozenset({"cpu", "memory", "pids", "io"}),
    missing_commands=(),
    packet_filter_error=None,
    has_loop_devices=True,
    free_disk_mib=20_000,
    memory_mib=2_000,
    listeners={80: "ours", 443: "free"},
    foreign_names=(),
    is_clock_synchronised=True,
    is_installed=True,
    images=frozenset({"php-site", "static-site"}),
    needed_images={"php-site": "php-site", "static-site": "static-site"},
    processes=dict.fromkeys(("edge", "locald", "runner", "web", "worker"), "RUNNING"),
    readiness="ready",
    sockets={"locald": SocketFact("edubba-worker", 0o600)},
    ca_file="/ca.pem",
    is_ca_trusted=True,
    regions=("north", "south"),
)

# What breaks -> the check that must notice, and how badly it must take it.
ILLS: Mapping[str, tuple[dict[str, Any], State]] = {
    "root": ({"is_root": False}, State.FAILED),
    "system": ({"system": "ubuntu 24.04"}, State.FAILED),
    "kernel": ({"kernel": (5, 10)}, State.FAILED),
    "cgroups": ({"controllers": frozenset({"cpu", "pids"})}, State.FAILED),
    "commands": ({"missing_commands": ("runc",)}, State.FAILED),
    "packet_filter": ({"packet_filter_error": "Operation not permitted"}, State.FAILED),
    "loop_devices": ({"has_loop_devices": False}, State.FAILED),
    "room": ({"free_disk_mib": 100}, State.FAILED),
    "ports": ({"listeners": {80: "apache2", 443: "free"}}, State.FAILED),
    "clock": ({"is_clock_synchronised": False}, State.WARNING),
    "installed": ({"writable_prefix": ("/opt/edubba/venv/bin/edubba",)}, State.FAILED),
    "names": ({"foreign_names": ("health.edubba.localhost",)}, State.WARNING),
    "images": ({"images": frozenset({"static-site"})}, State.WARNING),
    "processes": ({"processes": {"web": "RUNNING", "worker": "FATAL"}}, State.FAILED),
    "readiness": ({"readiness": "the database is away"}, State.FAILED),
    "sockets": ({"sockets": {"locald": SocketFact("root", 0o666)}}, State.FAILED),
    "trust": ({"is_ca_trusted": False}, State.WARNING),
    "regions": ({"regions": (), "regions_error": "line 3: no such kind"}, State.FAILED),
}
MORE_ILLS: list[tuple[str, dict[str, Any]]] = [
    ("kernel", {"has_overlay": False}),
    ("kernel", {"user_namespaces": 0}),
    ("room", {"memory_mib": 100}),
    ("installed", {"is_installed": False}),
    ("images", {"images": frozenset()}),
    ("processes", {"processes": None}),
    ("sockets", {"sockets": {"bell": None}}),
    ("trust", {"is_ca_trusted": None}),
    ("regions", {"regions": None}),
]
EVERY_ILL = [(check, broken) for check, (broken, _) in ILLS.items()] + MORE_ILLS


def test_a_healthy_machine_has_nothing_to_mend() -> None:
    findings = diagnose(HEALTHY, tuple(Group))
    assert {f.state for f in findings.values()} == {State.OK}


def test_each_check_has_an_ill_that_it_notices() -> None:
    assert set(ILLS) == {name for checks in CHECKS.values() for name in checks}


@pytest.mark.parametrize("check", ILLS)
def test_an_ill_is_noticed_by_its_check_alone(check: str) -> None:
    broken, expected = ILLS[check]
    findings = diagnose(dataclasses.replace(HEALTHY, **broken), tuple(Group))
    assert findings[check].state is expected
    others = {name for name, f in findings.items() if f.state is not State.OK} - {check}
    assert others <= {"packet_filter"}  # which only root can look at


@pytest.mark.parametrize(("check", "broken"), EVERY_ILL)
def test_what_is_wrong_comes_with_how_to_mend_it_in_both_languages(
    check: str, broken: dict[str, Any]
) -> None:
    finding = diagnose(dataclasses.replace(HEALTHY, **broken), tuple(Group))[check]
    assert finding.state is not State.OK
    assert finding.mend
    for message in (finding.what, finding.mend):
        assert has_translation(message, "ar"), message
    for locale in ("ar", "en"):
        assert "{" not in "".join(finding.in_words(locale))


def test_what_is_well_is_said_in_arabic_too() -> None:
    for finding in diagnose(HEALTHY, tuple(Group)).values():
        assert has_translation(finding.what, "ar"), finding.what


def test_a_failed_check_is_seen_in_the_document_and_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = dataclasses.replace(HEALTHY, has_loop_devices=False)
    monkeypatch.setattr("control_plane.cli.doctor.look_at_machine", lambda _settings: seen)
    assert app(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    ill = [row for row in document["findings"] if row["state"] == "failed"]
    assert [row["check"] for row in ill] == ["loop_devices"]


@pytest.mark.parametrize(("locale", "word"), [("ar", "صلاحيات"), ("en", "root")])
def test_a_healthy_machine_gives_exit_code_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], locale: str, word: str
) -> None:
    monkeypatch.setattr("control_plane.cli.doctor.look_at_machine", lambda _settings: HEALTHY)
    assert app(["doctor", "--locale", locale]) == 0
    assert word in capsys.readouterr().out


def test_the_document_of_a_healthy_machine_says_so() -> None:
    assert describe(diagnose(HEALTHY, (Group.MACHINE,)))["ok"] is True


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "ar_IQ.UTF-8"}, "ar"),
        ({"LANG": "ar_IQ.UTF-8", "LC_ALL": "en_GB.UTF-8"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_commands_speak_the_language_of_the_terminal(
    environment: dict[str, str], language: str
) -> None:
    assert locale_of(environment) == language


def test_this_machine_can_be_looked_at() -> None:
    facts = machine.look_at_machine(Settings())
    assert facts.kernel > (3, 0)
    assert facts.free_disk_mib > 0
    assert facts.memory_mib > 0
    assert facts.controllers


@pytest.mark.parametrize(
    ("text", "regions", "error"),
    [
        ("regions: {north: {kind: memory}, south: {kind: memory}}", ("north", "south"), None),
        ("regions:\n  north: {kind: mainframe}\n", (), "regions.yaml, line 2: "),
        (None, (), "No such file"),
    ],
)
def test_the_file_of_regions_is_read_as_the_worker_reads_it(
    tmp_path: Path, text: str | None, regions: tuple[str, ...], error: str | None
) -> None:
    file = tmp_path / "regions.yaml"
    if text is not None:
        file.write_text(text)
    found, why = machine._regions(Settings(regions_file=file))
    assert found == regions
    assert (why is None) == (error is None)
    assert (error or "") in (why or "")


def test_a_program_that_takes_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert machine._listener(port) not in {"free", "ours"}
    assert machine._listener(port) == "free"


def test_a_listener_of_ours_is_known_by_its_command(tmp_path: Path) -> None:
    program = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "edubba")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        assert machine._listener(port) == "ours"
        process.communicate()


def test_a_file_that_others_can_write_is_found(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "edubba"
    program.touch()
    program.chmod(0o777)
    assert str(program) in machine._writable_by_others(tmp_path)


def test_a_name_that_leads_elsewhere_is_foreign() -> None:
    assert machine._is_loopback("localhost")
    assert not machine._is_loopback("name-of-nobody.invalid")


def test_a_trusted_ca_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("-----BEGIN CERTIFICATE-----\nQUJD\nREVG\n-----END CERTIFICATE-----\n")
    bundle = tmp_path / "bundle.crt"
    bundle.write_text("-----BEGIN CERTIFICATE-----\nQUJDREVG\n-----END CERTIFICATE-----\n")
    monkeypatch.setattr(machine, "TRUSTED", bundle)
    assert machine._is_ca_trusted(ca)
    bundle.write_text("")
    assert machine._is_ca_trusted(ca) is False
    assert machine._is_ca_trusted(tmp_path / "absent.pem") is None
