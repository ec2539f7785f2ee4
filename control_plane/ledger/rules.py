"""The ledger's names and problems: who acts beside people, and what can't be done."""

from datetime import timedelta

from control_plane.engine.birth import Birth
from control_plane.kit.errors import Problem

SYSTEM = "system"  # set-up and maintenance of the product itself
LOG_ID = "ledger"  # there is one log, and its life bears the same name
BIRTH = Birth(
    kind="ledger",
    version=1,
    start="seal",
    deadline=timedelta(seconds=30),  # without a signature for so long, a human is told
)
REDACTED = "ledger.redacted"  # the action whose subject is the entry that lost its payload


def life_actor(life_id: str) -> str:
    """Return the actor's name for what a life does by itself."""
    return f"life:{life_id}"


def policy_actor(name: str) -> str:
    """Return the actor's name for what a policy decides by itself."""
    return f"policy:{name}"


class EntryUnknown(Problem):
    """There is no such entry."""

    code = "ledger_entry_unknown"
    status = 404
    title = "There is no ledger entry {entry}"
    mend = "Check the entry's id; it begins with ent_ and was given when the action was done."


class EntryNotSealed(Problem):
    """The entry is written, but no signed checkpoint covers it yet."""

    code = "ledger_entry_not_sealed"
    status = 409
    title = "Entry {entry} isn't covered by a signed checkpoint yet"
    mend = "Ask again in a second. If this lasts, tell the data centre that the ledger is behind."


class CheckpointUnknown(Problem):
    """The ledger never had a checkpoint of that size, or has none at all yet."""

    code = "ledger_checkpoint_unknown"
    status = 404
    title = "The ledger has no signed checkpoint of this size"
    mend = "Ask for the latest checkpoint. If you hold one of this size, keep it: it is evidence."
