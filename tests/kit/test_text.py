"""Whatever a person may read is there in Arabic and in English."""

import importlib
import pkgutil
import string
from collections.abc import Iterator

import pytest

import control_plane
from control_plane.kit import text
from control_plane.kit.errors import Problem

# Programs that run by themselves: importing them would run them, and they raise no problems.
_OUTSIDE = (
    "control_plane.migrations.",
    "control_plane.locald",
    "control_plane.ports.edge.__main__",
)


def _problems() -> Iterator[type[Problem]]:
    for module in pkgutil.walk_packages(control_plane.__path__, "control_plane."):
        if not module.name.startswith(_OUTSIDE):
            importlib.import_module(module.name)
    found: list[type[Problem]] = [Problem]
    for problem in found:
        found += problem.__subclasses__()
    return iter({p for p in found if p.__module__.startswith("control_plane")})


def _code(problem: type[Problem]) -> str:
    return problem.code


PROBLEMS: list[type[Problem]] = sorted(_problems(), key=_code)


@pytest.mark.parametrize("problem", PROBLEMS, ids=_code)
def test_every_problem_speaks_arabic_with_the_same_facts(problem: type[Problem]) -> None:
    for message in filter(None, (problem.title, problem.mend)):
        assert text.has_translation(message, "ar"), message
        arabic = text.translate(message, "ar")
        assert _placeholders(arabic) == _placeholders(message), message


def test_a_text_with_a_missing_fact_still_speaks() -> None:
    assert text.translate("needs {need}", "en") == "needs {need}"


@pytest.mark.parametrize(
    ("header", "locale"),
    [(None, "ar"), ("en-GB,en;q=0.9", "en"), ("fr, ar-IQ", "ar"), ("ckb", "ar"), ("*", "ar")],
)
def test_the_language_follows_the_reader(header: str | None, locale: str) -> None:
    assert text.best_locale(header) == locale


def _placeholders(message: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(message) if name}
