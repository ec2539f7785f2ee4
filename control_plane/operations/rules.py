"""What people may do with lives that don't move, and what a stopped life says to them. Pure."""

from dataclasses import dataclass
from typing import ClassVar

from control_plane.kit.errors import Problem
from control_plane.releases.rules import FAILURES

# Kinds whose life belongs to a resource that can be given up; the others are the platform's own.
GIVEN_UP = frozenset({"hosting"})


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a life stopped (message ids): what happened, what is tried next, what its owner can do.

    All three may use the facts of the failure.
    """

    happened: str
    following: str
    mend: str


_WAITS = "Nothing is tried until an operator lets it go on. Nothing was lost."
_OLD_LIVE = "Nothing is tried until an operator lets it go on. What was live before stays live."
_TELL_CENTRE = "Tell the data centre; you need to change nothing."
_OPERATOR_RETRIES = "An operator reads the worker's log, mends the cause and retries."
_OPERATOR_KEYS = "An operator restores the right key files from the backup and retries."
_MISUNDERSTOOD = "Two parts of the platform did not understand each other"
_OPERATOR_UPDATES = "An operator installs the same version of all parts and retries."
_SMALLER_SETTINGS = "Put large content into a release, and keep settings short."

STOPS: dict[str, Stop] = {
    "step_unknown": Stop(
        "This version of the product does not know the step {step}", _WAITS, _OPERATOR_RETRIES
    ),
    "step_crashed": Stop(
        "The step {step} failed in a way that nobody foresaw", _WAITS, _OPERATOR_RETRIES
    ),
    "image_missing": Stop(
        "The region does not have the prepared image that was approved",
        _WAITS,
        "An operator prepares the image and retries, or you submit a new request.",
    ),
    "image_unknown": Stop(
        "The region does not have the prepared image that was approved",
        _WAITS,
        "An operator prepares the image and retries, or you submit a new request.",
    ),
    "cloud_login_refused": Stop(
        "The cloud did not let the platform log in: {why}",
        _WAITS,
        "An operator sees to user and password in `clouds.yaml`, and that the user still manages"
        " the domain (docs/openstack.md), and retries.",
    ),
    "cloud_right_missing": Stop(
        "The cloud does not allow the platform: {call}",
        _WAITS,
        "An operator gives the platform's user the rights in docs/openstack.md and retries.",
    ),
    "cloud_role_missing": Stop(
        "The cloud has no role {role}",
        _WAITS,
        "An operator makes the role that docs/openstack.md names and retries.",
    ),
    "cloud_quota_exceeded": Stop(
        "The cloud's quota is used up: {why}",
        _WAITS,
        "An operator raises the quota of the tenant's project, or ends what is not needed, and"
        " retries.",
    ),
    "cloud_addresses_exhausted": Stop(
        "The cloud has no free address left: {why}",
        _WAITS,
        "An operator adds addresses to the external network, or frees some, and retries.",
    ),
    "cloud_full": Stop(
        "No machine of the cloud has room for the server: {why}",
        _WAITS,
        "An operator adds hypervisors or frees some, and retries.",
    ),
    "cloud_refused": Stop(
        "The cloud refused what it was asked for: {why}", _WAITS, _OPERATOR_RETRIES
    ),
    "cloud_service_missing": Stop(
        "The cloud has no service {service} where its catalogue should name it",
        _WAITS,
        "An operator sees to the catalogue or to `region_name` in `clouds.yaml` and retries.",
    ),
    "cloud_settings_wrong": Stop(
        "The entry {cloud} of `clouds.yaml` can't be used: {why}",
        _WAITS,
        "An operator mends the file and retries.",
    ),
    "external_network_missing": Stop(
        "The cloud has no external network {network}",
        _WAITS,
        "An operator names the right one in the settings, or makes it, and retries.",
    ),
    "flavor_missing": Stop(
        "The cloud has no flavor with {memory_mib} MiB of memory, {cores} cores and a disk of"
        " {disk_gib} GiB",
        _WAITS,
        "An operator makes one that is as large and retries, or you ask for a smaller size.",
    ),
    "host_key_lost": Stop(
        "The host key by which the server is known is not written down any more",
        _WAITS,
        "An operator writes it down again from a copy, or has the server ended and made anew.",
    ),
    "server_vanished": Stop(
        "Somebody removed the server in the cloud, with all that the tenant had written in it",
        "Nothing is made in its place, so that nobody takes an empty server for a whole one.",
        "Find out who removed it. To build it anew, without what it held: "
        "openstack port unset --tag edubba_data {port}; then retry.",
    ),
    "server_failed": Stop(
        "The cloud could not run the server: {why}",
        _WAITS,
        "An operator reads the cloud's own log, mends the cause and retries.",
    ),
    "tenant_missing": Stop("The tenant is not there any more", _WAITS, _TELL_CENTRE),
    "tenant_not_empty": Stop(
        "The tenant can't be removed while a server is in it", _WAITS, _TELL_CENTRE
    ),
    "server_missing": Stop("The server is not there any more", _WAITS, _TELL_CENTRE),
    "tenant_identity_changed": Stop(
        "A tenant of this name is there with another identity", _WAITS, _OPERATOR_RETRIES
    ),
    "kernel_lacks": Stop(
        "The machine's kernel lacks {feature}",
        _WAITS,
        "An operator runs `edubba doctor` on the machine, does what it says, and retries.",
    ),
    "not_allowed": Stop(
        "The root daemon does not take orders from this process", _WAITS, _OPERATOR_RETRIES
    ),
    **{
        code: Stop(_MISUNDERSTOOD, _WAITS, _OPERATOR_UPDATES)
        for code in (
            "bad_request",
            "bad_deployment",
            "bad_digest",
            "bad_frame",
            "bad_nonce",
            "bad_verb",
            "bad_input",
        )
    },
    "allocation_taken": Stop(
        "Another server has the addresses that were allocated", _WAITS, _OPERATOR_RETRIES
    ),
    "server_identity_changed": Stop(
        "A server of this name is there with another identity", _WAITS, _OPERATOR_RETRIES
    ),
    **{
        code: Stop(
            "The way between an application and what it is attached to can't be laid so",
            _OLD_LIVE,
            "Detach the two and attach them again; if that does not help, tell the data centre.",
        )
        for code in ("wire_identity_changed", "wire_refused")
    },
    "disk_cannot_shrink": Stop(
        "The disk of a server can grow, not shrink", _WAITS, "Ask for at least the present size."
    ),
    "stale_fence": Stop(
        "Two workers wanted to change the same thing; the older one was refused",
        _WAITS,
        _OPERATOR_RETRIES,
    ),
    "playbook_missing": Stop(
        "This installation has no playbook of the name {playbook}", _WAITS, _OPERATOR_UPDATES
    ),
    "variables_too_large": Stop(
        "The settings take {size} bytes, and {most} are the most", _WAITS, _SMALLER_SETTINGS
    ),
    "secrets_too_large": Stop(
        "The secret settings take {size} bytes, and {most} are the most", _WAITS, _SMALLER_SETTINGS
    ),
    **{
        code: Stop(_MISUNDERSTOOD, _WAITS, _OPERATOR_UPDATES)
        for code in ("run_malformed", "run_differs", "run_not_over")
    },
    "run_not_open": Stop(
        "A run of a playbook is not let into the server any more", _WAITS, _OPERATOR_RETRIES
    ),
    "run_of_another_life": Stop(
        "A run of a playbook belongs to another life", _WAITS, _OPERATOR_RETRIES
    ),
    **{code: Stop(words.happened, _OLD_LIVE, words.mend) for code, words in FAILURES.items()},
    "host_disk_full": Stop(
        "The machine that carries the servers has no room left", _WAITS, _TELL_CENTRE
    ),
    "route_incomplete": Stop("The edge was given an incomplete route", _WAITS, _OPERATOR_RETRIES),
    "hostname_malformed": Stop(
        "The name {name} can't be served", _WAITS, "Ask for another hostname in a new request."
    ),
    "name_malformed": Stop(
        "No certificate can be issued for this name",
        _WAITS,
        "Ask for another hostname in a new request.",
    ),
    "name_outside_zone": Stop(
        "The internal authority issues no certificate for names outside its zone",
        _WAITS,
        "Ask for a hostname below the data centre's zone.",
    ),
    "certificate_days": Stop(
        "A certificate was asked for that is valid too long", _WAITS, _OPERATOR_RETRIES
    ),
    "certificate_without_names": Stop(
        "A certificate was asked for without a name", _WAITS, _OPERATOR_RETRIES
    ),
    "certificate_unusable": Stop(
        "A certificate and its key don't fit together", _WAITS, _OPERATOR_RETRIES
    ),
    "authority_expired": Stop(
        "The internal certificate authority is out of date",
        _WAITS,
        "An operator renews the authority and retries.",
    ),
    "authority_unreadable": Stop(
        "The internal certificate authority can't be read", _WAITS, _OPERATOR_KEYS
    ),
    "keyring_exposed": Stop(
        "Key files could be read by others, so they are not used",
        _WAITS,
        "An operator finds out who read them, replaces or protects them, and retries.",
    ),
    "unknown_key": Stop("A key that is needed is not there", _WAITS, _OPERATOR_KEYS),
    "unknown_version": Stop("A secret is sealed in a way not known here", _WAITS, _OPERATOR_KEYS),
    "wrong_context": Stop(
        "A secret belongs to something else than it was opened for", _WAITS, _OPERATOR_KEYS
    ),
    "ledger_key_changed": Stop(
        "The ledger's key is not the one that signed so far", _WAITS, _OPERATOR_KEYS
    ),
    "ledger_signature_wrong": Stop(
        "The ledger's signature does not fit its key", _WAITS, _OPERATOR_KEYS
    ),
}
UNKNOWN_STOP = Stop("It stopped: {code}", _WAITS, _TELL_CENTRE)


def stop_of(code: str) -> Stop:
    """Return what a stop code says to people; an unknown one still says that it stopped."""
    return STOPS.get(code, UNKNOWN_STOP)


class LifeNotStopped(Problem):
    """Only a stopped life can be retried or given up."""

    code: ClassVar[str] = "life_not_stopped"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This life has not stopped: it is {state}"
    mend: ClassVar[str] = "It goes on by itself. Look at its events to see what it waits for."


class LifeNotGivenUp(Problem):
    """The platform's own lives are mended, not given up."""

    code: ClassVar[str] = "life_not_given_up"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "A life of the kind {kind} can't be given up"
    mend: ClassVar[str] = "Mend its cause and retry it."


class LifeHoldsData(Problem):
    """What has served people is ended by an approved request, not given up."""

    code: ClassVar[str] = "life_holds_data"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "This hosting has been in service and may hold data"
    mend: ClassVar[str] = "Retry it, or let its owner request its end."


class NotPaused(Problem):
    """There is nothing to resume."""

    code: ClassVar[str] = "not_paused"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Lives of the kind {kind} are not paused"
    mend: ClassVar[str] = "Look at the list of pauses."


class TooManyStreams(Problem):
    """All places for event streams are taken."""

    code: ClassVar[str] = "too_many_streams"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "Too many event streams are open"
    mend: ClassVar[str] = "Try again in {retry_after_s} seconds, or ask for the list: ?format=json."


class AgencyNeeded(Problem):
    """Somebody with several agencies asks for entries without naming one."""

    code: ClassVar[str] = "agency_needed"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Say of which agency"
    mend: ClassVar[str] = "Add ?agency= with the agency's short name."


class ScrapeRefused(Problem):
    """Figures are for this machine's Prometheus and for operators."""

    code: ClassVar[str] = "scrape_refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The platform's figures are not for everybody"
    mend: ClassVar[str] = "Ask from the machine itself, or with a token that has operation:read."
