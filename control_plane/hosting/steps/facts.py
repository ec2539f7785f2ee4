"""What the steps of a hosting read before they act, as values: no session outlives the read."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from io import BytesIO
from ipaddress import IPv4Address

from sqlmodel import Session

from control_plane.blueprints import queries as blueprints
from control_plane.blueprints.rules import Blueprint, check_path, render_placeholder
from control_plane.engine.registry import Ctx
from control_plane.hosting import queries
from control_plane.hosting.models import Attachment, Hosting, Setting
from control_plane.hosting.steps.plays import Play, mark_of, marks_of, new_play
from control_plane.hostnames import queries as hostnames
from control_plane.ledger.rules import life_actor
from control_plane.ports.cloud.port import Cloud, ReleaseFile, ReleaseSpec, ServerSpec
from control_plane.releases.actions import read_manifest
from control_plane.releases.models import Deployment, Release
from control_plane.releases.queries import list_with_status
from control_plane.releases.rules import DeploymentStatus
from control_plane.tenancy import queries as tenancy
from control_plane.tenancy.models import Allocation

_MAX_PLACEHOLDER = 1024 * 1024
_BEGUN = (DeploymentStatus.RUNNING,)
_UNFINISHED = (DeploymentStatus.QUEUED, DeploymentStatus.RUNNING)


@dataclass(frozen=True)
class Facts:
    """A hosting as its rows say it, with what belongs to it."""

    hosting: Hosting
    blueprint: Blueprint
    hostname: str
    allocation: Allocation | None
    settings: Sequence[Setting] = ()
    attachments: Sequence[Attachment] = ()

    @property
    def users(self) -> list[Attachment]:
        """What is to be able to log in here."""
        mine = [one for one in self.attachments if one.target_id == self.hosting.id]
        return [one for one in mine if one.detached_at is None]

    @property
    def ways(self) -> list[Attachment]:
        """What the application here is to reach, where its user is known already."""
        mine = [one for one in self.attachments if one.hosting_id == self.hosting.id]
        return [one for one in mine if one.detached_at is None and one.target_knows]

    @cached_property
    def play(self) -> Play:
        """The run of a playbook that makes the server's inside as it is wished for."""
        one, size = self.hosting, self.blueprint.size(self.hosting.size)
        variables = {
            "hosting_inputs": dict(one.inputs),
            "hosting_size": asdict(size.limits),
            "hosting_hostname": self.hostname,
        }
        marks = [*map(mark_of, self.settings), *marks_of(self.users, self.ways)]
        return new_play(self.blueprint.name, variables, one.image_digest, marks)

    @property
    def is_wish_configured(self) -> bool:
        """Whether the last run that succeeded was of what is wished for now, ends included."""
        return self.hosting.configured_wish == self.play.digest and not self._is_forgetting

    @property
    def _is_forgetting(self) -> bool:
        """Whether something that is detached is known here still."""
        one = self.hosting.id
        return any(
            row.client_knows or row.has_way if row.hosting_id == one else row.target_knows
            for row in self.attachments
            if row.detached_at is not None
        )

    @property
    def address(self) -> IPv4Address:
        """The server's address. Raises LookupError before a plan was carried out."""
        if self.allocation is None:
            raise LookupError(f"{self.hosting.id} has no allocation")
        return IPv4Address(self.allocation.v4)

    def generation_seen(self, deployment_id: str) -> int:
        """Return the generation that is fact once this deployment is seen: an older one's isn't."""
        one = self.hosting
        is_wished = deployment_id == one.wished_deployment_id and self.is_wish_configured
        return one.generation if is_wished else one.observed_generation

    def server_spec(self) -> ServerSpec:
        """Return the server as it is wished for."""
        if self.allocation is None:
            raise LookupError(f"{self.hosting.id} has no allocation")
        return ServerSpec(
            server_id=self.hosting.id,
            tenant_id=self.hosting.tenant_id,
            image=self.hosting.image_digest,
            limits=self.blueprint.size(self.hosting.size).limits,
            serial=self.allocation.serial,
            uid_base=self.allocation.uid_base,
            address=self.address,
        )


@dataclass(frozen=True, slots=True)
class Content:
    """A deployment that is to be live, and its files; `inline` holds a placeholder's bytes."""

    deployment: Deployment
    manifest_digest: str
    files: tuple[ReleaseFile, ...]
    inline: Mapping[str, bytes]

    @property
    def spec(self) -> ReleaseSpec:
        """What the server assembles."""
        one = self.deployment
        return ReleaseSpec(one.id, self.manifest_digest, one.nonce, self.files)


def load_facts(ctx: Ctx) -> Facts:
    """Read the hosting that the life moves."""
    return ctx.load(partial(_load_facts, hosting_id=ctx.claim.subject_id))


def load_content(ctx: Ctx, facts: Facts) -> Content:
    """Read what the steps are at, with its files.

    Raises Refused (`blob_missing`) if the content is gone.
    """
    deployment, manifest_digest = ctx.load(partial(_load_deployment, hosting=facts.hosting))
    if manifest_digest is None:
        return _placeholder(facts, deployment)
    manifest = read_manifest(ctx.ports.blobs, manifest_digest)
    return Content(deployment, manifest_digest, manifest.files, {})


def load_next_deployment(ctx: Ctx, facts: Facts) -> Deployment:
    """Read which deployment is to be live: what is under way or next, else what is live now."""
    return ctx.load(partial(_load_deployment, hosting=facts.hosting, status=_UNFINISHED))[0]


def load_deployment(ctx: Ctx, facts: Facts) -> Deployment:
    """Read which deployment the steps are at: what is under way, else the live one, to be mended.

    One that was asked for meanwhile waits until the life looks for the next.
    """
    return ctx.load(partial(_load_deployment, hosting=facts.hosting))[0]


def store_inline(ctx: Ctx, content: Content) -> None:
    """Put a placeholder's files into the store, from which all content is carried."""
    for digest, data in content.inline.items():
        ctx.ports.blobs.put(digest, BytesIO(data), _MAX_PLACEHOLDER)


def page_to_check(facts: Facts) -> str:
    """Return the path that must answer before a release goes live."""
    return check_path(facts.blueprint, facts.hosting.inputs)


def cloud_of(ctx: Ctx, facts: Facts) -> Cloud:
    """Return the cloud of the hosting's region."""
    return ctx.ports.cloud(facts.hosting.region_id)


def actor_of(ctx: Ctx) -> str:
    """Return the name under which the life writes into the ledger."""
    return life_actor(ctx.claim.life_id)


def _load_facts(session: Session, hosting_id: str) -> Facts:
    hosting = queries.get_hosting(session, hosting_id)
    name = hostnames.find_latest_of_hosting(session, hosting_id)
    return Facts(
        hosting=hosting,
        blueprint=blueprints.get_blueprint(session, hosting.blueprint_version_id),
        hostname=name.name if name is not None else "",
        allocation=tenancy.find_allocation(session, hosting_id),
        settings=queries.list_settings(session, hosting_id),
        attachments=queries.list_unfinished_attachments(session, hosting_id),
    )


def _load_deployment(
    session: Session, hosting: Hosting, status: Sequence[DeploymentStatus] = _BEGUN
) -> tuple[Deployment, str | None]:
    """Return the one in these states with the lowest number, else what is live."""
    unfinished = list_with_status(session, hosting.id, status)
    chosen = unfinished[0] if unfinished else _get_live(session, hosting)
    if chosen.release_id is None:
        return chosen, None
    return chosen, session.get_one(Release, chosen.release_id).manifest_digest


def _get_live(session: Session, hosting: Hosting) -> Deployment:
    return session.get_one(Deployment, hosting.live_deployment_id)


def _placeholder(facts: Facts, deployment: Deployment) -> Content:
    hosting = facts.hosting
    said = {"title": hosting.title or hosting.name, "hostname": facts.hostname, **hosting.inputs}
    pages = render_placeholder(facts.blueprint, said)
    inline = {hashlib.sha256(data).hexdigest(): data for data in pages.values()}
    files = tuple(
        ReleaseFile(path, hashlib.sha256(data).hexdigest(), len(data))
        for path, data in sorted(pages.items())
    )
    whole = hashlib.sha256("\n".join(sorted(inline)).encode()).hexdigest()
    return Content(deployment, whole, files, inline)
