"""How a server hands what was written in it to the one that takes its place, with another image.

What serves rests meanwhile, so that nothing changes under way: databases lie still on the disk.
"""

import contextlib
import os
import signal
import subprocess
import time

from guest_state import KEPT, PASSING, Refusal, Trouble, find_process, write_durably
from guest_wish import Image

RESTING = PASSING / "resting"  # what is wished, until the next start at most
RESTS = PASSING / "rests"  # what process 1 says: nothing runs, and nothing will
# A tar file that was cut off passes for a whole one; one that is compressed does not.
TAR = ("/bin/tar", "--use-compress-program=/bin/gzip -1", "--numeric-owner", "--directory=/")
_ENDS_IN_S = 60.0  # a database writes its pages
_STEP_S = 0.05


def rest() -> None:
    """End what serves; when this returns, nothing of it runs. Raises Trouble."""
    RESTS.unlink(missing_ok=True)
    write_durably(RESTING, "")
    end = time.monotonic() + _ENDS_IN_S
    asked: set[int] = set()
    while not RESTS.exists():
        process, late = find_process(), time.monotonic() > end
        if process and (late or process not in asked):  # one may have started meanwhile
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL if late else signal.SIGTERM)
            asked.add(process)
        if time.monotonic() > end + _ENDS_IN_S:
            raise Trouble("process_still_ending")
        time.sleep(_STEP_S)
    os.sync()


def wake() -> None:
    """Let what serves start again."""
    RESTING.unlink(missing_ok=True)
    RESTS.unlink(missing_ok=True)


def _must_rest() -> None:
    if not RESTS.exists():
        raise Refusal("server_not_resting")


def pack(image: Image) -> None:
    """Write all that the image lets be written, and the fences, to the output."""
    _must_rest()
    kept = [str(KEPT / "fences")] if (KEPT / "fences").is_dir() else []
    paths = sorted({*image.writable, *image.executable, *kept})
    wanted = [path.lstrip("/") for path in paths]
    done = subprocess.run([*TAR, "--create", "--sparse", "--file=-", "--", *wanted], check=False)
    if done.returncode:
        raise Trouble("pack_failed", status=done.returncode)


def unpack() -> None:
    """Write what another server packed, all of it, onto the disk. Raises Trouble where it ends."""
    _must_rest()
    options = ["--extract", "--preserve-permissions", "--same-owner", "--file=-"]
    done = subprocess.run([*TAR, *options], check=False, stdout=subprocess.DEVNULL)
    os.sync()
    if done.returncode:
        raise Trouble("unpack_failed", status=done.returncode)
