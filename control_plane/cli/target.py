"""For which Python, on which system, an application's packages are chosen: a blueprint says so."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

_MANYLINUX = re.compile(r"manylinux_2_(\d+)_(\w+)")
_OLDEST_GLIBC = {"x86_64": 5, "i686": 5}  # PEP 600; elsewhere manylinux began with 2.17
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True)
class Target:
    """A CPython on Linux; `platforms` are the newest tags it takes, older ones follow."""

    python: str
    platforms: tuple[str, ...]

    @classmethod
    def of(cls, wheels: Mapping[str, Any]) -> "Target":
        """Read what the API shows of a blueprint."""
        return cls(wheels["python"], tuple(wheels["platforms"]))

    @property
    def version(self) -> tuple[int, int]:
        """Python's major and minor version."""
        major, minor = self.python.split(".")[:2]
        return int(major), int(minor)

    @property
    def abi(self) -> str:
        """What compiled modules are made for."""
        return "cp{}{}".format(*self.version)

    def __str__(self) -> str:
        return f"Python {self.python}, {', '.join(self.platforms)}"

    @cached_property
    def all_platforms(self) -> tuple[str, ...]:
        """Each tag of a platform that is taken, the best first."""
        return tuple(dict.fromkeys(tag for said in self.platforms for tag in _expand(said)))

    @cached_property
    def tags(self) -> tuple[Tag, ...]:
        """Each tag of a wheel that is taken, the best first."""
        own = cpython_tags(self.version, [self.abi], self.all_platforms)
        return (*own, *compatible_tags(self.version, self.abi, self.all_platforms))

    @property
    def facts(self) -> dict[str, str]:
        """What markers are judged by (PEP 508)."""
        full = self.python if self.python.count(".") > 1 else f"{self.python}.0"
        return {
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": re.sub(r"^[a-z]+(_\d+_\d+)?_", "", self.platforms[0]),
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": full,
            "python_version": ".".join(map(str, self.version)),
            "sys_platform": "linux",
        }

    @property
    def options(self) -> list[str]:
        """What pip is told."""
        said = ["--python-version", self.python, "--implementation", "cp", "--abi", self.abi]
        return [*said, *(f"--platform={tag}" for tag in self.all_platforms)]

    def takes(self, name: str) -> bool:
        """Whether a wheel of this name can be used. Raises: InvalidWheelFilename."""
        return not parse_wheel_filename(name)[3].isdisjoint(self.tags)


def is_wheel(name: str) -> bool:
    """Whether a file has the name of a wheel."""
    try:
        parse_wheel_filename(name)
    except InvalidWheelFilename:
        return False
    return True


def _expand(platform: str) -> Iterator[str]:
    """Give a platform and those whose wheels it runs: an older glibc, and legacy names of it."""
    match = _MANYLINUX.fullmatch(platform)
    if match is None:
        yield platform
        return
    newest, machine = int(match[1]), match[2]
    for minor in range(newest, _OLDEST_GLIBC.get(machine, 17) - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_{machine}"
    yield f"linux_{machine}"
