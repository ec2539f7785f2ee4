#!/usr/bin/python3 -IS
"""What may be asked of this server through its one door, by whom a certificate lets in.

    guest receive (--life L --counter N | --no-fence) CALL [ARGUMENT…]
                        a call of the receiver, its input and output passed through
    guest open RUN --life L --counter N --until SECONDS
                        let a run command this server, until a second of the epoch
    guest close RUN --life L --counter N
                        when it returns, nothing is done for the run any more
    guest run RUN       what a run's certificate forces: $SSH_ORIGINAL_COMMAND, as root in the rooms
    guest probe         `{"targets": […]}` on the input → what was reached that must not be
    guest state         which image this is, and whether it answers
    guest rest --life L --counter N
                        end what serves, and start it again only after `wake` or a new start
    guest wake --life L --counter N
    guest pack          all that was written here, as a tar file on the output; while it rests
    guest unpack --life L --counter N
                        take over what another server packed, from the input; while it rests

Answers are one line of JSON; a refusal is `{"error": code, …}` with exit status 3. What may go well
another time says so among the errors, with exit status 75.
"""

import argparse
import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

sys.path.insert(0, "/usr/lib/edubba")  # root's own folder, where this program lies, too

import guest_commands
import guest_probe
import guest_state as state
import guest_succession as succession
from guest_network import find_address
from guest_wish import Image, read_image

RECEIVER = "/usr/lib/edubba/receive"
LOOKING = frozenset({"missing", "check", "probe", "inspect", "logs"})
CHANGING = frozenset({"put", "assemble", "switch", "prune"})
RECEIVE_TIMEOUT_S = 1800.0  # 10 GB at 6 MB/s
RUN_COMMAND_MAX = 128 * 1024  # bytes; longer things come on the input
RUN_TIMEOUT_S = 3600.0
REFUSED, ANOTHER_TIME = 3, 75  # the second: EX_TEMPFAIL, sysexits.h
_CONNECT_S = 2.0


def _fence(wish: argparse.Namespace) -> state.Fence:
    if wish.life is None or wish.counter is None:
        raise state.Refusal("bad_request", field="fence")
    return state.Fence(wish.life, wish.counter)


@contextlib.contextmanager
def _changing(wish: argparse.Namespace) -> Iterator[None]:
    """Let one change at a time be made here, by who holds the newest lease."""
    with state.locked(state.KEPT / ".server.lock"):
        state.check(_fence(wish))
        yield


def _receive(wish: argparse.Namespace) -> int:
    image = read_image()
    call, arguments = wish.call[0], wish.call[1:]
    if call not in LOOKING | CHANGING or wish.no_fence != (call in LOOKING):
        raise state.Refusal("bad_request", field="call")
    command = guest_commands.Command(
        [RECEIVER, call, *arguments], image.receiver_uid, image.receiver_gid, RECEIVE_TIMEOUT_S
    )
    if call in CHANGING:
        with _changing(wish):
            if call != "put":  # long, and harmless if it comes late: blobs name themselves
                return guest_commands.run(command)
    return guest_commands.run(command)


def _open(wish: argparse.Namespace) -> dict[str, Any]:
    with state.locked(state.KEPT / ".server.lock"):
        state.open_run(wish.run, _fence(wish), wish.until)
    return {}


def _close(wish: argparse.Namespace) -> dict[str, Any]:
    state.close_run(wish.run, _fence(wish))
    return {}


def _run(wish: argparse.Namespace) -> int:
    text = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    if not 0 < len(text.encode()) <= RUN_COMMAND_MAX:
        raise state.Refusal("bad_request", field="command")
    argv = ["/bin/sh", "-c", text]
    with state.commanding(wish.run):
        wanted = guest_commands.Command(
            argv, 0, 0, RUN_TIMEOUT_S, lambda: state.is_wanted(wish.run)
        )
        return guest_commands.run(wanted)


def _probe(_: argparse.Namespace) -> dict[str, Any]:
    try:
        targets = guest_probe.parse(sys.stdin.buffer.read(1 << 20))
    except guest_probe.BadTargets as error:
        raise state.Refusal("bad_request", field="targets") from error
    return guest_probe.run(targets, read_image())


def _rest(wish: argparse.Namespace) -> dict[str, Any]:
    with _changing(wish):
        succession.rest()
    return {}


def _wake(wish: argparse.Namespace) -> dict[str, Any]:
    with _changing(wish):
        succession.wake()
    return {}


def _pack(_: argparse.Namespace) -> int:
    with state.locked(state.KEPT / ".server.lock"):
        succession.pack(read_image())
    return 0


def _unpack(wish: argparse.Namespace) -> dict[str, Any]:
    with _changing(wish):
        succession.unpack()
    return {}


def _is_answering(image: Image) -> bool:
    try:
        address = (find_address() or "127.0.0.1", image.port)
        socket.create_connection(address, timeout=_CONNECT_S).close()
    except OSError:
        return False
    return True


def _state(_: argparse.Namespace) -> dict[str, Any]:
    image = read_image()
    reasons = []
    if state.find_process() is None:
        reasons.append("process_missing")
    elif not _is_answering(image):
        reasons.append("silent")
    lacking = state.PASSING / "limits-lacking"
    told = json.loads(lacking.read_text()) if lacking.is_file() else []
    return {"image": image.digest, "up": not reasons, "reasons": reasons, "unlimited": told}


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="guest", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in DOES:
        verb = verbs.add_parser(name, allow_abbrev=False)
        if name in {"open", "close", "run"}:
            verb.add_argument("run")
        if name in FENCED:
            verb.add_argument("--life")
            verb.add_argument("--counter", type=int)
        if name == "open":
            verb.add_argument("--until", type=int, required=True)
        if name == "receive":
            verb.add_argument("--no-fence", action="store_true")
            verb.add_argument("call", nargs="+")
    return parser.parse_args(argv)


DOES = {
    "receive": _receive,
    "open": _open,
    "close": _close,
    "run": _run,
    "probe": _probe,
    "state": _state,
    "rest": _rest,
    "wake": _wake,
    "pack": _pack,
    "unpack": _unpack,
}
FENCED = frozenset({"receive", "open", "close", "rest", "wake", "unpack"})


def main() -> int:
    """Do one verb and say how it went."""
    os.umask(0o077)
    wish = _parse(sys.argv[1:])
    try:
        answer = DOES[wish.verb](wish)
    except state.Refusal as refusal:
        print(json.dumps({"error": refusal.code, **refusal.facts}))
        return REFUSED
    except state.Trouble as trouble:
        print(json.dumps({"trouble": trouble.code, **trouble.facts}), file=sys.stderr)
        return ANOTHER_TIME
    if isinstance(answer, int):
        return answer
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
