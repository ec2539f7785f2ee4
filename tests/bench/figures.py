"""Figures on the screen of who asked for them, and where they come from."""

import re
import statistics
from collections.abc import Sequence
from pathlib import Path

WIDTH = 52


def show(what: str, figure: str) -> None:
    print(f"  {what:<{WIDTH}} {figure}")  # noqa: T201  # this is what a bench is for


def show_seconds(what: str, seconds: Sequence[float]) -> None:
    middle, longest = statistics.median(seconds), max(seconds)
    show(what, f"{middle:6.2f} s median, {longest:.2f} s longest of {len(seconds)}")


def pss_mib(pids: Sequence[int]) -> float:
    """Return the memory of processes, what they share with others divided among them."""
    found = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return sum(int(re.findall(r"^Pss: +(\d+)", text, re.MULTILINE)[0]) for text in found) / 1024
