#!/usr/bin/python3 -IS
"""Be process 1 of a server in OpenStack, a virtual machine or a container.

It is small, and serves nobody itself.

It gets an address, reads what the cloud tells this server, lets in who has a certificate for it,
and runs what the image is for, in rooms of its own (guest_rooms.py). What ends is started again,
each time later. SIGTERM, SIGPWR, a word in INITCTL and the power button end
all, then itself.

The console tells who this is: one line `EDUBBA-HOST-KEY ssh-ed25519 AAAA…`, printed before anything
of a tenant runs. Nothing of a tenant ever writes to the console.
"""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, "/usr/lib/edubba")  # root's own folder, where this program lies, too

import guest_groups as groups
import guest_kernel as kernel
import guest_network as network
from guest_commands import prepare
from guest_power import is_pressed, open_buttons
from guest_rooms import ALL, ENVIRONMENT, furnish
from guest_state import KEPT, PASSING
from guest_succession import RESTING, RESTS
from guest_wish import BadWish, Image, Wish, parse, read_image

SSH = KEPT / "ssh"
HOST_KEY = SSH / "host_ed25519"
SSHD = ("/usr/sbin/sshd", "-D", "-e", "-f", "/usr/lib/edubba/guest-sshd.conf")
LOGS = Path("/var/log/edubba")
LOG_MAX = 1 << 20
TELLS_AFTER_S = 120.0
TICK_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
STEADY_S = 30.0  # who ran so long is started again at once
STOPS_IN_S = 20.0  # less than the minute that a cloud waits
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
INITCTL = Path("/run/initctl")  # libvirt asks a container here, and sends no signal then
_INITCTL_WISH = struct.Struct("<IIII368x")  # sysvinit's initreq.h: magic, command, run level, time
_INITCTL_MAGIC, _RUN_LEVEL, _ENDING_LEVELS = 0x03091969, 1, b"06"
_ENDING = {signal.SIGTERM, signal.SIGPWR, signal.SIGINT}
_TMPFS = {"/run": "size=32m,mode=755", "/tmp": "size=64m,mode=1777"}  # noqa: S108  # this server's


def say(text: str) -> None:
    """Write a line to the console."""
    try:
        handle = os.open("/dev/console", os.O_WRONLY | os.O_NOCTTY)
    except OSError:
        handle = os.dup(1)
    with os.fdopen(handle, "w") as console:
        console.write(f"{text}\r\n")


@dataclass(slots=True)
class Child:
    """Something that runs as long as this server does."""

    name: str
    start: Callable[[], int]
    pid: int = 0
    started: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    not_before: float = 0.0

    def ensure(self) -> None:
        """Start it, if it does not run and has waited long enough."""
        now = time.monotonic()
        if self.pid == 0 and now >= self.not_before:
            self.pid, self.started = self.start(), now

    def note_end(self, status: int) -> None:
        """Have it started again: the sooner it ended, the later."""
        now = time.monotonic()
        steady = now - self.started > STEADY_S
        self.pause_s = FIRST_PAUSE_S if steady else min(2 * self.pause_s, LONGEST_PAUSE_S)
        self.pid, self.not_before = 0, now + (0.0 if steady else self.pause_s)
        code = os.waitstatus_to_exitcode(status)
        say(f"edubba: {self.name} ended with {code}, again in {self.pause_s:.0f} s")


def _log(name: str) -> int:
    LOGS.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.open(LOGS / f"{name}.log", flags, 0o600)


def _begin_child(name: str) -> None:
    """Be a child that hears signals, leads a session, and speaks into a log alone."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.setsid()
    log, nothing = _log(name), os.open("/dev/null", os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)


def start_program(name: str, argv: Sequence[str]) -> int:
    """Start one of the machine's own programs; return its process."""
    pid = os.fork()
    if pid == 0:
        try:
            _begin_child(name)
            os.execve(argv[0], list(argv), {"PATH": PATH})
        finally:
            os._exit(127)
    return pid


def start_process(image: Image, wish: Wish) -> int:
    """Start what the image is for, in new rooms; return its process as seen from here."""
    read, write = os.pipe2(os.O_CLOEXEC)
    middle = os.fork()
    if middle == 0:
        try:
            _begin_child("process")
            lacking = groups.join_limited("edubba-process", wish.limits)
            (PASSING / "limits-lacking").write_text(json.dumps(lacking))
            kernel.unshare(ALL)
            inner = os.fork()
            if inner == 0:
                _be_process(image)
            os.write(write, str(inner).encode())
        except OSError as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(middle, 0)
    if text:
        (PASSING / "process").write_text(text)
        say_lacking()
    return int(text or 0)


def _be_process(image: Image) -> NoReturn:
    try:
        furnish(image)
        prepare(image.uid, image.gid)
        os.execve(image.args[0], list(image.args), ENVIRONMENT)
    except OSError as error:
        os.write(2, f"{error}\n".encode())
    finally:
        os._exit(127)


def say_lacking() -> None:
    """Say which limits are not this server's to set: its cloud has to."""
    lacking = json.loads((PASSING / "limits-lacking").read_text())
    if lacking:
        say(f"edubba: limits that can't be set in here: {', '.join(lacking)}")


def mount_all() -> None:
    """Mount what a virtual machine has not, and a container partly has."""
    for kind, path, options in (
        ("proc", "/proc", ""),
        ("sysfs", "/sys", ""),
        ("devtmpfs", "/dev", "mode=755"),
        ("cgroup2", "/sys/fs/cgroup", ""),
    ):
        if not os.path.ismount(path):
            with contextlib.suppress(OSError):
                kernel.mount(kind, path, kind, kernel.NOSUID, options)
    Path("/dev/pts").mkdir(exist_ok=True)
    if not os.path.ismount("/dev/pts"):
        kernel.mount(
            "devpts", "/dev/pts", "devpts", kernel.NOSUID | kernel.NOEXEC, "mode=620,gid=5"
        )
    for path, options in _TMPFS.items():
        kernel.mount("tmpfs", path, "tmpfs", kernel.NOSUID | kernel.NODEV, options)
    with contextlib.suppress(OSError):  # in a container it is writable already
        kernel.mount("none", "/", flags=kernel.REMOUNT)
    os.mkfifo(INITCTL, 0o600)
    PASSING.mkdir(mode=0o700)
    Path("/run/sshd").mkdir(mode=0o755)
    KEPT.mkdir(mode=0o700, parents=True, exist_ok=True)


def grow_disk() -> None:
    """Let the file system of a virtual machine use the disk that it was given."""
    device = next(
        (
            line.split()[0]
            for line in Path("/proc/mounts").read_text().splitlines()
            if line.split()[1] == "/" and line.startswith("/dev/vd")
        ),
        None,
    )
    if (
        device
        and subprocess.run(["/sbin/resize2fs", device], capture_output=True, check=False).returncode
    ):
        say("edubba: the file system does not fill the disk")


def let_in(wish: Wish) -> None:
    """Prepare the one door: a key of this server's own, and whose certificates open it."""
    SSH.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not HOST_KEY.is_file():
        new = HOST_KEY.with_suffix(".new")
        for path in (new, new.with_suffix(".new.pub")):
            path.unlink(missing_ok=True)
        argv = ["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(new)]
        subprocess.run(argv, check=True)
        os.sync()
        new.rename(HOST_KEY)  # a half-written one is made anew
    (SSH / "user_ca").write_text(f"{wish.user_ca}\n")
    (SSH / "principals").write_text(f"{wish.server_id}\n")
    argv = ["/usr/bin/ssh-keygen", "-y", "-f", str(HOST_KEY)]
    public = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    say(f"EDUBBA-HOST-KEY {public[0]} {public[1]}")


@dataclass(slots=True)
class Server:
    """What runs, and how far the server has come."""

    image: Image
    children: list[Child] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    has_told: bool = False
    is_told: bool = False

    def _add(self, name: str, start: Callable[[], int]) -> None:
        self.children.append(Child(name, start))

    def begin(self) -> None:
        """Get an address."""
        for fault in network.raise_interfaces():
            say(f"edubba: {fault}")
        self._add("dhcp", lambda: start_program("dhcp", network.DHCP))

    def advance(self) -> None:
        """Read what this server is told; once that is known, let in and run."""
        if self.is_told:
            return
        text = network.read_user_data() if network.find_address() else None
        if text is None:
            if not self.has_told and time.monotonic() - self.began > TELLS_AFTER_S:
                say("edubba: nobody tells this server what it is; still asking")
                self.has_told = True
            return
        self.is_told = True
        try:
            self.take(parse(text))
        except BadWish as error:
            say(f"edubba: the user data are of no use ({error}); nothing is started")

    def take(self, wish: Wish) -> None:
        """Become the server that the cloud tells of."""
        network.set_name(wish.server_id)
        let_in(wish)
        for fault in network.close_metadata():
            say(f"edubba: the metadata are not closed: {fault}")
        self._add("sshd", lambda: start_program("sshd", SSHD))
        self._add("process", lambda: start_process(self.image, wish))

    def reap(self) -> None:
        """Take the status of all that has ended."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                for child in self.children:
                    if child.pid == pid:
                        child.note_end(status)

    def tick(self) -> None:
        """Do what is due."""
        self.reap()
        self.advance()
        for child in self.children:
            if child.name != "process" or not RESTING.exists():
                child.ensure()
            elif not child.pid:
                RESTS.touch(mode=0o600)
        for log in LOGS.glob("*.log"):
            if log.stat().st_size > LOG_MAX:
                os.truncate(log, 0)  # those who write append

    def end(self) -> None:
        """Let the process end by itself, then all else."""
        say("edubba: ending")
        running = [child.pid for child in self.children if child.pid]
        deadline = time.monotonic() + STOPS_IN_S
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        while running and time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                ended, _ = os.waitpid(-1, os.WNOHANG)
                running = [pid for pid in running if pid != ended]
            time.sleep(0.05)
        if os.getpid() == 1:
            with contextlib.suppress(ProcessLookupError):  # nobody is left
                os.kill(-1, signal.SIGKILL)  # all but process 1
        os.sync()


def is_asked_to_end(initctl: int) -> bool:
    """Whether who runs this container asked for its end."""
    try:
        text = os.read(initctl, _INITCTL_WISH.size)
    except BlockingIOError:
        return False
    if len(text) != _INITCTL_WISH.size:
        return False
    magic, command, level, _ = _INITCTL_WISH.unpack(text)
    return (magic, command) == (_INITCTL_MAGIC, _RUN_LEVEL) and level in _ENDING_LEVELS


def main() -> int:
    """Run the server until it is told to end."""
    os.umask(0o022)
    os.environ["PATH"] = PATH
    signal.pthread_sigmask(signal.SIG_BLOCK, {*_ENDING, signal.SIGCHLD})
    mount_all()
    grow_disk()
    server = Server(read_image())
    server.begin()
    initctl = os.open(INITCTL, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    buttons = open_buttons()
    while not (is_asked_to_end(initctl) or is_pressed(buttons)):
        server.tick()
        heard = signal.sigtimedwait({*_ENDING, signal.SIGCHLD}, TICK_S)
        if heard is not None and heard.si_signo in _ENDING:
            break
    server.end()
    if os.getpid() == 1 and "container" not in os.environ:
        kernel.power_off()
    return 0


if __name__ == "__main__":
    sys.exit(main())
