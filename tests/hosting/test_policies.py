"""Who must decide is data: the first fitting rule counts, and says why in every language."""

from typing import Any

import pytest

from control_plane.hosting import cli
from control_plane.hosting.actions import installed_policy
from control_plane.hosting.rules import Question, RequestKind, Verdict, judge, parse_policy
from control_plane.identity.rules import Role
from control_plane.kit.documents import DocumentInvalid
from control_plane.kit.installed import tenants_dir
from control_plane.kit.money import Money


def ask(**changes: Any) -> Verdict:
    facts: dict[str, Any] = {
        "kind": RequestKind.CREATE,
        "blueprint": "static-site",
        "size": "small",
        "roles": frozenset({Role.OWNER}),
        "price": Money("IQD", 7_000_000),
    }
    return judge(installed_policy(), Question(**{**facts, **changes}))


def test_a_small_site_of_an_owner_is_approved() -> None:
    verdict = ask()
    assert verdict.approves
    assert verdict.decider_id == "policy:default/small-static"
    assert verdict.because.ar
    assert verdict.because.en


@pytest.mark.parametrize(
    "changes",
    [
        {"size": "medium"},
        {"blueprint": "database"},
        {"roles": frozenset({Role.DEVELOPER})},
        {"roles": frozenset()},
        {"price": Money("IQD", 13_698_631)},  # 10,000.000630 a month
        {"price": Money("USD", 1)},
        {"kind": RequestKind.CHANGE},
        {
            "kind": RequestKind.CHANGE,
            "raises_cost": False,
            "roles": frozenset({Role.DEVELOPER}),
        },
        {"kind": RequestKind.RESTORE, "roles": frozenset({Role.DEVELOPER})},
    ],
)
def test_anything_else_is_left_to_an_operator(changes: dict[str, Any]) -> None:
    verdict = ask(**changes)
    assert not verdict.approves
    assert verdict.decider_id == "policy:default/operator"


def test_the_limit_itself_is_within() -> None:
    assert ask(price=Money("IQD", 13_698_630)).approves  # 9,999.999900 a month


def test_an_owner_ends_what_is_theirs() -> None:
    assert ask(kind=RequestKind.END, size="large").approves
    assert not ask(kind=RequestKind.END, roles=frozenset({Role.DEVELOPER})).approves


def test_an_owner_changes_what_costs_no_more_and_brings_back_what_was_approved_before() -> None:
    cheap = ask(kind=RequestKind.CHANGE, size="large", raises_cost=False)
    assert cheap.decider_id == "policy:default/same-cost"
    assert ask(kind=RequestKind.RESTORE, size="large").decider_id == "policy:default/own-return"


@pytest.mark.parametrize("form", list(cli.Form))
def test_the_schemas_in_the_tree_are_those_of_the_models(form: cli.Form) -> None:
    kept = {
        cli.Form.POLICY: tenants_dir() / "policies" / "policy.schema.json",
        cli.Form.TENANT: tenants_dir() / "tenant.schema.json",
    }[form]
    assert kept.read_text(encoding="utf-8") == cli.schema_text(form), (
        f"python -m control_plane.hosting.cli schema {form.value}"
    )


_RULE = "- {name: a, then: ask, because: {ar: أ, en: a}}\n"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("format: 1\nname: x\nrules: []\n", 3, "rules has too few entries: at least 1"),
        (
            "format: 1\nname: x\nrules:\n- {name: a, then: approve, because: {ar: أ, en: a}}\n",
            4,
            "The last rule must ask, without a condition",
        ),
        (f"format: 1\nname: x\nrules:\n{_RULE}{_RULE}", 5, "a stands here twice"),
        (
            "format: 1\nname: x\nrules:\n- name: a\n  then: maybe\n  because: {ar: أ, en: a}\n",
            5,
            "rules.0.then must be one of: 'approve' or 'ask'",
        ),
        (
            "format: 1\nname: x\nrules:\n- name: a\n  then: ask\n  because: {en: a}\n",
            6,
            "rules.0.because.ar is missing",
        ),
    ],
)
def test_a_wrong_policy_names_line_and_reason(text: str, line: int, reason: str) -> None:
    with pytest.raises(DocumentInvalid) as found:
        parse_policy(text, "default.yml")
    first = found.value.mistakes[0]
    assert (first.line, str(first.reason)) == (line, reason)
