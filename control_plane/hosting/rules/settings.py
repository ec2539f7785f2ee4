"""What an agency sets for its application: environment variables, open or secret. Pure."""

import re
from collections.abc import Mapping
from typing import ClassVar

from control_plane.kit.errors import Problem

NAME_PATTERN = r"^[A-Z][A-Z0-9_]{0,63}$"  # POSIX's names, without those of small letters
MAX_SETTINGS = 200
MAX_VALUE_BYTES = 32 * 1024
MAX_TOTAL_BYTES = 256 * 1024  # well below what the kernel hands to a process (ARG_MAX, 2 MiB)
# What the platform gives itself, and what would change how programs are found and loaded.
_RESERVED = re.compile(r"^(EDUBBA_.*|LD_.*|DATABASE_URL|PATH|HOME|USER|SHELL|PORT|PYTHONPATH)$")


class SettingRefused(Problem):
    """A name that can't be, or is not an agency's to set."""

    code: ClassVar[str] = "setting_refused"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "{name} can't be set"
    mend: ClassVar[str] = (
        "Use capital letters, digits and _, beginning with a letter; names of the platform and "
        "of the loader are reserved."
    )


class SettingsTooLarge(Problem):
    """More than an environment should hold."""

    code: ClassVar[str] = "settings_too_large"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The settings are too large: {what} is {need}, at most {limit}"
    mend: ClassVar[str] = "Put large things into a file of the release, or into the database."


class SettingsNotTaken(Problem):
    """Nothing runs that could read them."""

    code: ClassVar[str] = "settings_not_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "A hosting of the kind {blueprint} takes no settings"
    mend: ClassVar[str] = "Settings are for applications; a site of files has nothing to set."


def check_settings(kept: Mapping[str, int], changes: Mapping[str, str | None]) -> None:
    """Check changes against what stays: `kept` is the bytes of each setting there is.

    A change to None removes. Raises: SettingRefused, SettingsTooLarge.
    """
    sizes = dict(kept)
    for name, value in changes.items():
        if not re.fullmatch(NAME_PATTERN, name) or _RESERVED.match(name):
            raise SettingRefused(name=name[:80])
        if value is None:
            sizes.pop(name, None)
            continue
        if "\0" in value:
            raise SettingRefused(name=name)
        sizes[name] = len(value.encode())
        if sizes[name] > MAX_VALUE_BYTES:
            raise SettingsTooLarge(what=name, need=sizes[name], limit=MAX_VALUE_BYTES)
    if len(sizes) > MAX_SETTINGS:
        raise SettingsTooLarge(what="number", need=len(sizes), limit=MAX_SETTINGS)
    total = sum(sizes.values())
    if total > MAX_TOTAL_BYTES:
        raise SettingsTooLarge(what="total", need=total, limit=MAX_TOTAL_BYTES)
