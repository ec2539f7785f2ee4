"""What goes in and out of releases over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from control_plane.identity.schemas import In
from control_plane.kit.text import translate
from control_plane.ports.cloud.port import ReleaseFile
from control_plane.releases.models import Deployment, Release
from control_plane.releases.rules import words_of

EXAMPLE_DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MAX_DIGESTS = 1_000
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", examples=[EXAMPLE_DIGEST])]
Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]


class MissingIn(In):
    """Content that a client has; which of it must be sent?"""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"digests": [EXAMPLE_DIGEST]}]}
    )

    digests: list[Digest] = Field(max_length=MAX_DIGESTS)


class MissingOut(BaseModel):
    """What this agency has not sent yet, or not kept."""

    missing: list[str]


class BlobOut(BaseModel):
    """Content that was stored."""

    digest: str
    size: int


class FileIn(BaseModel):
    """One file of a release; what may stand in it is checked for all files together."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(description="Relative, with /, in Unicode's form NFC")
    digest: str = Field(description="SHA-256 of the content, 64 hexadecimal digits")
    size: int
    mode: Literal["0644", "0755"] = "0644"

    def file(self) -> ReleaseFile:
        """Return the value that rules and ports know."""
        return ReleaseFile(self.path, self.digest, self.size, int(self.mode, 8))


class ReleaseIn(BaseModel):
    """All files of a version of a site; their content has been sent before."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "files": [
                        {
                            "path": "index.html",
                            "digest": EXAMPLE_DIGEST,
                            "size": 0,
                            "mode": "0644",
                        }
                    ]
                }
            ]
        },
    )

    files: list[FileIn]


class ReleaseOut(BaseModel):
    """One immutable version of content."""

    id: str
    manifest_digest: str
    file_count: int
    total_bytes: int
    created_at: datetime
    created_by: str

    @classmethod
    def of(cls, release: Release) -> "ReleaseOut":
        """Show a row."""
        return cls.model_validate(release.model_dump(exclude={"agency_id"}))


class DeploymentIn(In):
    """The wish to put a release live."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"release": "rel_01k0aaaaaaaaaaaaaaaaaaaaaa", "reason": "New opening hours"}
            ]
        },
    )

    release: str = Field(max_length=32)
    reason: Text = ""


class RollbackIn(In):
    """The wish to go back to a deployment that was live."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"to": 3, "reason": "Broken links"}]}
    )

    to: int | None = Field(
        default=None, ge=0, lt=1 << 31, description="Its number; null: the one before"
    )
    reason: Text = ""


class OutcomeOut(BaseModel):
    """Why a deployment didn't go live, in the reader's language."""

    code: str
    happened: str
    mend: str = Field(description="What its owner can do")
    output: str = Field(default="", description="What its check said")
    by: int | None = Field(default=None, description="The number of the one that overtook it")

    @classmethod
    def of(cls, outcome: dict[str, Any], locale: str) -> "OutcomeOut":
        """Show what was recorded."""
        words = words_of(str(outcome["code"]))
        return cls(
            happened=translate(words.happened, locale, **outcome),
            mend=translate(words.mend, locale, **outcome),
            **outcome,
        )


class DeploymentOut(BaseModel):
    """A deployment and what came of it; number 0 is the blueprint's own page."""

    id: str
    hosting: str
    number: int
    release: str | None
    rollback_of: int | None
    status: str
    reason: str
    actor: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    outcome: OutcomeOut | None
    progress: dict[str, Any] | None = Field(description="Blobs and bytes delivered")

    @classmethod
    def of(cls, deployment: Deployment, locale: str) -> "DeploymentOut":
        """Show a row; the nonce is between the platform and its edge."""
        row = deployment.model_dump(exclude={"agency_id", "nonce", "outcome"})
        names = {"hosting_id": "hosting", "release_id": "release", "actor_id": "actor"}
        said = deployment.outcome
        outcome = OutcomeOut.of(said, locale) if said is not None else None
        shown = {names.get(key, key): value for key, value in row.items()}
        return cls.model_validate({**shown, "outcome": outcome})
