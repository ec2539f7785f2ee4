"""What Prometheus reads; every metric of the product is declared here, so that names don't drift.

Gauges that describe the database (lives, reservations, ledger) are filled when the web process is
scraped, not kept in memory: what tells of the worker's lives must not vanish with the worker.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

HTTP_REQUESTS = Counter(
    "edubba_http_requests_total",
    "HTTP requests by route template, method and status",
    ["method", "route", "status"],
    registry=REGISTRY,
)
HTTP_SECONDS = Histogram(
    "edubba_http_request_seconds",
    "Seconds until the answer began",
    ["method", "route"],
    registry=REGISTRY,
)
STEP_SECONDS = Histogram(
    "edubba_step_seconds",
    "Seconds that one step of a life took, effect included",
    ["kind", "step", "outcome"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
RUN_SECONDS = Histogram(
    "edubba_run_seconds",
    "Seconds that a run of a playbook took, its place in the queue included",
    ["playbook", "status"],
    buckets=(0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600),
    registry=REGISTRY,
)
CLOUD_CALLS = Counter(
    "edubba_cloud_calls_total",
    "Calls of a region's APIs by region, service and answer",
    ["region", "service", "answer"],
    registry=REGISTRY,
)
NOTIFICATIONS = Counter(
    "edubba_notifications_total",
    "Notifications of a region's cloud: about ours, about others', or unreadable",
    ["region", "result"],
    registry=REGISTRY,
)
NOTIFICATIONS_HEARD = Gauge(
    "edubba_notifications_heard",
    "Whether the worker listens to the notifications of a region's cloud (1), or looks only (0)",
    ["region"],
    registry=REGISTRY,
)
BELL_DELAY_SECONDS = Histogram(
    "edubba_bell_delay_seconds",
    "Seconds between ringing the bell and the start of the step",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
    registry=REGISTRY,
)
STALE_OUTCOMES = Counter(
    "edubba_stale_outcomes_total",
    "Outcomes thrown away because the lease had passed on",
    ["kind"],
    registry=REGISTRY,
)
ISOLATION_PROBES = Counter(
    "edubba_isolation_probes_total",
    "Isolation probes by result",
    ["region", "result"],
    registry=REGISTRY,
)
LIVES = Gauge(
    "edubba_lives", "Lives by kind, step and state", ["kind", "step", "state"], registry=REGISTRY
)
LIVES_OVERDUE = Gauge(
    "edubba_lives_overdue",
    "Lives past the deadline of their present wait",
    ["kind"],
    registry=REGISTRY,
)
ISOLATION_FAILED = Gauge(
    "edubba_isolation_failed",
    "Hostings whose last isolation probe failed",
    ["region"],
    registry=REGISTRY,
)
REGION_UNSEEN_SECONDS = Gauge(
    "edubba_region_unseen_seconds",
    "Age of the last whole look at a region that is not retired",
    ["region"],
    registry=REGISTRY,
)
RESERVATIONS = Gauge(
    "edubba_reservations",
    "Quantity reserved by resource and state",
    ["resource", "state"],
    registry=REGISTRY,
)
LEDGER_LAG_SECONDS = Gauge(
    "edubba_ledger_lag_seconds", "Age of the oldest entry outside the tree", registry=REGISTRY
)
LEDGER_UNSEQUENCED = Gauge(
    "edubba_ledger_unsequenced", "Entries not yet in the tree", registry=REGISTRY
)
