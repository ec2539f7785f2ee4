"""What can't be done with releases, and what the reader can do about it."""

from typing import ClassVar

from control_plane.kit.errors import Problem


class TransitionRefusedError(Exception):
    """A deployment was told to go where its status table has no line: a mistake in code."""


class ManifestRefused(Problem):
    """Some files can't be part of a release; `offences` lists the first twenty."""

    code: ClassVar[str] = "manifest_refused"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "{count} problems were found in the list of files"
    mend: ClassVar[str] = "Rename or remove the files listed, and deploy again."


class TooManyFiles(Problem):
    """More files than a release may have."""

    code: ClassVar[str] = "too_many_files"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The release has {count} files; at most {limit} are allowed"
    mend: ClassVar[str] = "Leave out what visitors don't need, or split the site in two hostings."


class ReleaseTooLarge(Problem):
    """More bytes than allowed altogether, or than the size's disk can hold."""

    code: ClassVar[str] = "release_too_large"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The release has {count} bytes; at most {limit} are allowed here"
    mend: ClassVar[str] = "Leave out large files, or ask for a hosting with a larger disk."


class BlobsMissing(Problem):
    """A release names content that its agency has not sent; `missing` lists some of it."""

    code: ClassVar[str] = "blobs_missing"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "{count} files of the release have not been uploaded"
    mend: ClassVar[str] = "Run the same deployment again: it uploads only what is missing."


class DigestWrong(Problem):
    """The bytes are not those that the digest names."""

    code: ClassVar[str] = "digest_mismatch"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "What arrived has the digest {actual}, not {digest}"
    mend: ClassVar[str] = "The upload was damaged or the file changed meanwhile: try again."


class BlobTooLarge(Problem):
    """More bytes than the upload said it would have."""

    code: ClassVar[str] = "blob_too_large"
    status: ClassVar[int] = 413
    title: ClassVar[str] = "More than the announced {limit} bytes arrived; the upload was stopped"
    mend: ClassVar[str] = "Give the file's real size in the parameter `size`."


class EncodingInvalid(Problem):
    """The upload says that it is compressed, and isn't, or is cut off."""

    code: ClassVar[str] = "encoding_invalid"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The upload can't be decompressed"
    mend: ClassVar[str] = "Send it as one zstd frame with a window of at most 8 MiB, or as it is."


class EncodingUnknown(Problem):
    """A content encoding that isn't understood here."""

    code: ClassVar[str] = "encoding_unknown"
    status: ClassVar[int] = 415
    title: ClassVar[str] = "Uploads can't be encoded as {encoding}"
    mend: ClassVar[str] = "Send `Content-Encoding: zstd`, or no such header."


class StoreFull(Problem):
    """The disk that keeps uploads has too little left."""

    code: ClassVar[str] = "disk_full"
    status: ClassVar[int] = 507
    title: ClassVar[str] = "The data centre's store has no room for this upload"
    mend: ClassVar[str] = "Nothing was lost. Tell the data centre, and try again later."


class TooManyDigests(Problem):
    """More digests in one question than are answered at once."""

    code: ClassVar[str] = "too_many_digests"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "{count} digests were asked for; at most {limit} at once"
    mend: ClassVar[str] = "Ask in several parts."


class ReleaseExpired(Problem):
    """The content of an old release, in use nowhere, has been cleared away."""

    code: ClassVar[str] = "release_expired"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The content of this release is no longer kept"
    mend: ClassVar[str] = "Deploy it again from its files."


class DeploymentRefused(Problem):
    """The hosting is in a state in which nothing can be deployed to it."""

    code: ClassVar[str] = "deployment_refused"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "Nothing can be deployed while the hosting is {status}"
    mend: ClassVar[str] = (
        "Wait until it is active. If it has failed or is quarantined, the data centre must act "
        "first; `edubba hosting show` says why."
    )


class NothingToRollBackTo(Problem):
    """There is no earlier deployment that was live, or not the one asked for."""

    code: ClassVar[str] = "nothing_to_roll_back_to"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "There is no earlier deployment to go back to"
    mend: ClassVar[str] = "`edubba deployment list` shows which deployments were live once."
