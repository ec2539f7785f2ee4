"""Where tests keep what need not outlive them: in memory, where there is room for it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # whoever is killed loses nothing that is there
_ENOUGH_BYTES = 2 << 30


def quick_place() -> str | None:
    """Return the folder in which to make temporary ones; None is the system's own choice."""
    if not _SHARED_MEMORY.is_dir() or shutil.disk_usage(_SHARED_MEMORY).free < _ENOUGH_BYTES:
        return None
    return str(_SHARED_MEMORY)


@contextmanager
def quick_folder() -> Iterator[Path]:
    """Give an empty folder; afterwards it is gone."""
    with TemporaryDirectory(prefix="edubba-", dir=quick_place()) as folder:
        yield Path(folder)
