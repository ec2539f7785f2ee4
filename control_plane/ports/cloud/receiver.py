"""Content and looks through the receiver that each server's image brings, whatever cloud it is.

How a call gets into a server is the adapter's; what is said is the same everywhere. What comes out
of a server is hostile, so it is bounded and parsed with care.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from control_plane.kit.errors import Refused, Unavailable
from control_plane.ports.cloud import logs
from control_plane.ports.cloud.port import (
    CheckResult,
    ConfigurationFact,
    Fence,
    LogFact,
    ReleaseSpec,
)

_CHUNK = 1 << 20
_OUTPUT_MAX = 32 << 20  # 200,000 missing digests are 13 MB
# The next try finds out what is missing, or what has become of it.
_AGAIN = frozenset({"stream_cut", "release_preparing", "release_unsettled"})

Write = Callable[[bytes], object]
Feed = Callable[[Write], None]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the receiver inside a server."""

    server_id: str
    name: str
    arguments: Sequence[str] = ()
    fence: Fence | None = None


class ThroughReceiver(Protocol):
    """The verbs of `port.Cloud` that are calls of the receiver inside a server."""

    def receive(self, call: Call, feed: Feed) -> bytes:
        """Call the receiver and return what it wrote; `feed` gives it its input.

        Raises Unavailable where the server can't be reached or does not answer in time.
        """

    def inspect_server(self, server_id: str) -> ConfigurationFact:
        """Ask the server's receiver; what it says is bounded, and compared but never followed."""
        try:
            found = _answer(self.receive(Call(server_id, "inspect"), _lines(())))
        except Refused as refused:
            if refused.code == "bad_verb":  # of an older image
                return ConfigurationFact("")
            raise
        down = found.get("down")
        names = [str(name)[:32] for name in down[:32]] if isinstance(down, list) else []
        return ConfigurationFact(str(found.get("digest", ""))[:64], tuple(names))

    def read_logs(self, server_id: str, marks: Mapping[str, str]) -> LogFact:
        """Ask the server's receiver; what it says is bounded, and shown but never followed."""
        asked = _lines((json.dumps(dict(marks)),))
        try:
            return logs.parsed(_answer(self.receive(Call(server_id, "logs"), asked)))
        except Refused as refused:
            if refused.code == "bad_verb":  # of an older image
                return LogFact()
            raise

    def list_missing_blobs(self, server_id: str, digests: Iterable[str]) -> frozenset[str]:
        """Say which blobs the server does not have yet."""
        wished = frozenset(digests)
        output = self.receive(Call(server_id, "missing"), _lines(sorted(wished)))
        return frozenset(output.decode("ascii", "replace").split()) & wished

    def put_blobs(self, server_id: str, blobs: Iterator[tuple[str, Path]], fence: Fence) -> None:
        """Stream all blobs through one call. Raises Refused (`disk_full`, `digest_mismatch`)."""

        def feed(write: Write) -> None:
            for digest, path in blobs:
                with path.open("rb") as file:
                    write(f"{digest} {os.fstat(file.fileno()).st_size}\n".encode())
                    while chunk := file.read(_CHUNK):
                        write(chunk)
            write(b"end\n")

        _answer(self.receive(Call(server_id, "put", (), fence), feed))

    def assemble_release(self, server_id: str, spec: ReleaseSpec, fence: Fence) -> None:
        """Build the deployment beside the live one. Raises Refused (`blob_missing`)."""
        about = {
            "deployment": spec.deployment_id,
            "manifest": spec.manifest_digest,
            "nonce": spec.nonce,
        }
        lines = (json.dumps(line) for line in (about, *(asdict(file) for file in spec.files)))
        _answer(self.receive(Call(server_id, "assemble", (), fence), _lines(lines)))

    def check_release(self, server_id: str, deployment_id: str, path: str) -> CheckResult:
        """Ask the assembled release for its nonce and for `path`, on the inner port."""
        call = Call(server_id, "check", (deployment_id, path))
        found = _answer(self.receive(call, _lines(())))
        return CheckResult(found.get("passed") is True, str(found.get("output", ""))[:4096])

    def switch_release(self, server_id: str, deployment_id: str, fence: Fence) -> None:
        """Make the assembled release the live one, atomically."""
        call = Call(server_id, "switch", (deployment_id,), fence)
        _answer(self.receive(call, _lines(())))

    def prune_releases(self, server_id: str, keep: Iterable[str], fence: Fence) -> None:
        """Forget deployments that are not kept, and blobs that nothing uses."""
        _answer(self.receive(Call(server_id, "prune", (), fence), _lines(sorted(keep))))


class Feeder(threading.Thread):
    """Writes a receiver's input while its output is read, and keeps what went wrong."""

    def __init__(self, handle: int, feed: Feed) -> None:
        super().__init__(name="feeder", daemon=True)
        self._handle, self._feed = handle, feed
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Write all, unless the receiver ends before."""
        try:
            with os.fdopen(self._handle, "wb", _CHUNK) as pipe, suppress(BrokenPipeError):
                self._feed(pipe.write)
                pipe.flush()
        except BrokenPipeError:
            return  # closing tries to write once more; the receiver's answer says why it ended
        except BaseException as failure:  # noqa: BLE001  # raised again by the caller
            self.failure = failure


def read_bounded(output: Any) -> bytes:
    """Read to the end, or to what no honest receiver writes."""
    chunks, size = [], 0
    while size < _OUTPUT_MAX and (chunk := output.read(_CHUNK)):
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _lines(lines: Iterable[str]) -> Feed:
    def feed(write: Write) -> None:
        for line in lines:
            write(line.encode() + b"\n")
        write(b"end\n")

    return feed


def _answer(text: bytes) -> dict[str, Any]:
    """Return the receiver's answer. Raises Refused or Unavailable as it says."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Unavailable("receiver_failed", why=text[-200:].decode(errors="replace"))
    code = answer.get("error")
    if code is None:
        return answer
    family = Unavailable if code in _AGAIN else Refused
    known = {key: str(value)[:200] for key, value in answer.items() if key != "error"}
    raise family(str(code)[:64], **{key: value for key, value in known.items() if key != "code"})
