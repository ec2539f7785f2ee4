"""Who must decide what, as data: a policy's rules, the first that fits counts. Pure."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from control_plane.blueprints.rules import NAME_PATTERN, Words
from control_plane.hosting.rules.plans import per_month
from control_plane.hosting.rules.status import RequestKind
from control_plane.identity.rules import Role
from control_plane.kit.documents import parse_document
from control_plane.kit.money import MICROS, Money
from control_plane.ledger.rules import policy_actor

_Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=24)]
# Amounts are text, so that no reader of YAML makes a binary fraction of them.
_Amount = Annotated[str, Field(pattern=r"^\d{1,12}(\.\d{1,6})?$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Condition(_Part):
    """When a rule fits: all that is said must be so, and what is left out doesn't matter."""

    kind: RequestKind | None = Field(default=None, strict=False)
    blueprints: list[str] | None = None
    sizes: list[str] | None = None
    roles: list[Annotated[Role, Field(strict=False)]] | None = None  # of the submitter
    cost_per_month_at_most: dict[str, _Amount] | None = None
    raises_cost: bool | None = None  # against what the hosting costs now


class Rule(_Part):
    """One rule: `approve` decides by itself, `ask` leaves it to an operator."""

    name: _Name
    when: Condition = Condition()
    then: Literal["approve", "ask"]
    because: Words


class Policy(_Part):
    """A policy: if no rule fits, an operator is asked."""

    format: Literal[1]
    name: _Name
    rules: list[Rule] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Question:
    """What a policy is asked about one request."""

    kind: RequestKind
    blueprint: str
    size: str
    roles: frozenset[Role]  # the submitter's, in the agency
    price: Money  # per hour
    raises_cost: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy says, by which of its rules, and why."""

    approves: bool
    decider_id: str
    because: Words


def parse_policy(text: str, source: str) -> Policy:
    """Read a policy. Raises: DocumentInvalid, with the line."""
    document = parse_document(text, Policy, source)
    seen: set[str] = set()
    for index, rule in enumerate(document.value.rules):
        if rule.name in seen:
            raise document.mistake(
                ("rules", index, "name"), "{key} stands here twice", key=rule.name
            )
        seen.add(rule.name)
    last = document.value.rules[-1]
    if last.then != "ask" or last.when != Condition():
        place = ("rules", len(document.value.rules) - 1)
        raise document.mistake(place, "The last rule must ask, without a condition")
    return document.value


def judge(policy: Policy, question: Question) -> Verdict:
    """Return what the policy says: by the first rule that fits."""
    rule = next(rule for rule in policy.rules if _fits(rule.when, question))
    decider = policy_actor(f"{policy.name}/{rule.name}")
    return Verdict(rule.then == "approve", decider, rule.because)


def _fits(when: Condition, question: Question) -> bool:
    return (
        (when.kind is None or when.kind == question.kind)
        and (when.blueprints is None or question.blueprint in when.blueprints)
        and (when.sizes is None or question.size in when.sizes)
        and (when.roles is None or not question.roles.isdisjoint(when.roles))
        and (when.raises_cost is None or when.raises_cost == question.raises_cost)
        and _is_within(when.cost_per_month_at_most, question.price)
    )


def _is_within(most: dict[str, str] | None, price: Money) -> bool:
    if most is None:
        return True
    limit = most.get(price.currency)
    return limit is not None and per_month(price).micros <= Decimal(limit) * MICROS
