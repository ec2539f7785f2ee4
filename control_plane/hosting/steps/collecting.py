"""What a hosting's services write is fetched for its owner, when a step looks at the server anyway.

Whatever goes wrong with it is no matter of the step: it is logged, and tried again at the next
look, from the same mark. What is kept is clean, and has none of the hosting's own secrets.
"""

from datetime import timedelta
from functools import partial

from control_plane.engine.outcome import Writes, nothing
from control_plane.engine.registry import Ctx
from control_plane.hosting.steps.facts import Facts, cloud_of
from control_plane.hosting.steps.opening import list_secrets
from control_plane.kit import clock
from control_plane.kit.cleaning import CUT, NO_SECRETS, Redaction, clean
from control_plane.kit.errors import Refused, Unavailable
from control_plane.kit.log import get_log
from control_plane.logs import actions as logs
from control_plane.logs import queries as log_rows
from control_plane.logs.rules import is_asked
from control_plane.ports.cloud.port import LOG_LINE_MAX, LogFact, LogLine

log = get_log("hosting")
EVERY = timedelta(seconds=30)  # as often as a hosting in service is looked at


def collect(ctx: Ctx, facts: Facts) -> Writes:
    """Read what is new, and return the write that keeps it."""
    hosting = facts.hosting
    store = ctx.load(partial(log_rows.find_store, hosting_id=hosting.id))
    try:
        found = cloud_of(ctx, facts).read_logs(hosting.id, store.marks if store else {})
        hide = Redaction(list_secrets(ctx, facts)) if found.lines else NO_SECRETS
    except (Unavailable, Refused) as away:
        log.warning("logs_not_read", hosting=hosting.id, code=away.code)
        return nothing
    marks = {**(store.marks if store else {}), **found.marks}
    collected = logs.Collected(hosting.id, hosting.agency_id, _kept(found, hide), marks)
    return partial(logs.keep, collected=collected)


def collect_if_due(ctx: Ctx, facts: Facts) -> Writes:
    """Collect where somebody asked, or where nobody has looked for a while."""
    collected_at = ctx.load(partial(log_rows.find_collected_at, hosting_id=facts.hosting.id))
    is_late = collected_at is None or collected_at + EVERY <= clock.now()
    if is_late or is_asked(collected_at, facts.hosting.logs_asked_at):
        return collect(ctx, facts)
    return nothing


def is_asked_for(ctx: Ctx, facts: Facts) -> bool:
    """Whether somebody has asked for the log since it was collected."""
    find = partial(log_rows.find_collected_at, hosting_id=facts.hosting.id)
    return is_asked(ctx.load(find), facts.hosting.logs_asked_at)


def shown(ctx: Ctx, facts: Facts, text: str) -> str:
    """Return what a release said, as people may read it: the centre's people, too."""
    return clean(text, hide=Redaction(list_secrets(ctx, facts)))


def _kept(found: LogFact, hide: Redaction) -> list[logs.NewLine]:
    """Return lines as they are kept; before a service's first one, what was passed over."""
    kept = []
    lost = dict(found.lost)
    for line in found.lines:
        passed_over = lost.pop(line.service, 0)
        if passed_over:
            kept.append(logs.NewLine(line.service, line.at, "", passed_over))
        kept.append(logs.NewLine(line.service, line.at, _cleaned(line, hide)))
    rest = [logs.NewLine(service, None, "", count) for service, count in lost.items()]
    return kept + rest


def _cleaned(line: LogLine, hide: Redaction) -> str:
    """Return a line's text; a secret that may have been cut in two goes with the cut."""
    text = clean(line.text, LOG_LINE_MAX, hide).replace("\n", " ")
    if not line.is_cut:
        return text
    return text[: max(0, len(text) - hide.longest)].removesuffix(CUT) + CUT
