"""From a request to a running server: decided, planned, announced, housed, built."""

from datetime import timedelta
from functools import partial

from control_plane.engine.outcome import Again, Done, Go, Outcome
from control_plane.engine.registry import Ctx, StepFunction
from control_plane.hosting import actions, queries
from control_plane.hosting.rules import RequestStatus
from control_plane.hosting.steps.facts import actor_of, cloud_of, load_facts
from control_plane.kit.errors import Unavailable
from control_plane.ports.cloud.port import ServerState
from control_plane.ports.edge.port import Route, RouteState
from control_plane.tenancy.models import Tenant
from control_plane.tenancy.rules import TenantStatus

SERVER_DOWN = "server_unreachable"  # what a cloud says of content for a server that doesn't run
DECISION_REST = timedelta(hours=1)  # a decision signals the life; this is for a lost signal


def await_decision(ctx: Ctx) -> Outcome:
    """Wait until the request is decided; one that came to nothing is over."""
    subject = ctx.claim.subject_id
    request = ctx.load(partial(queries.get_create_request, hosting_id=subject))
    if request.status == RequestStatus.SUBMITTED:
        return Again("waiting_for_decision", after=DECISION_REST)
    if request.status in {RequestStatus.APPROVED, RequestStatus.FULFILLED}:
        return Go("check_plan")
    return Done()


def check_plan(ctx: Ctx) -> Outcome:
    """Carry out what was approved and nothing else; a plan that changed is decided anew."""
    subject, actor = ctx.claim.subject_id, actor_of(ctx)
    request = ctx.load(partial(queries.get_create_request, hosting_id=subject))
    if ctx.load(partial(queries.find_changed_plan, request=request)) is not None:
        reopen = partial(actions.reopen, actor_id=actor, request_id=request.id)
        return Go("await_decision", writes=reopen)
    return Go(
        "announce", writes=partial(actions.begin_building, actor_id=actor, hosting_id=subject)
    )


def announce(ctx: Ctx) -> Outcome:
    """Let visitors read that the site is being built."""
    facts = load_facts(ctx)
    ctx.ports.edge.ensure_route(Route(facts.hostname, RouteState.BUILDING))
    return Go("open_tenant")


def open_tenant(ctx: Ctx) -> Outcome:
    """Wait for the tenant, which has a life of its own."""
    hosting = load_facts(ctx).hosting
    tenant = ctx.load(lambda session: session.get_one(Tenant, hosting.tenant_id))
    if tenant.status == TenantStatus.ACTIVE:
        return Go("build_server")
    return Again("waiting_for_tenant")


def build_server(ctx: Ctx) -> Outcome:
    """Make the server as it is wished for, or mend the one that is there."""
    return _ensure_server(ctx) or Go("configure")


def on_server(step: StepFunction) -> StepFunction:
    """Let a step that finds the server down start it, and try again under the same deadline."""

    def run(ctx: Ctx) -> Outcome:
        try:
            return step(ctx)
        except Unavailable as away:
            if away.code != SERVER_DOWN:
                raise
        return _ensure_server(ctx) or Again("server_was_down")

    return run


def _ensure_server(ctx: Ctx) -> Again | None:
    """Make the server as it is wished for, or mend it; say what is still to be waited for."""
    facts = load_facts(ctx)
    seen = cloud_of(ctx, facts).ensure_server(facts.server_spec(), ctx.fence)
    if seen.state == ServerState.RUNNING:
        return None
    return Again("server_not_running", facts={"reasons": ", ".join(seen.reasons)})
