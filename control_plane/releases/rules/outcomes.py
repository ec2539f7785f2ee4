"""What became of deployments that didn't go live, in words (message ids), and what to do. Pure."""

from typing import NamedTuple


class Words(NamedTuple):
    """What happened, and what the owner can do; what was live before still is."""

    happened: str
    mend: str


_AGAIN = "Deploy again; only what is missing is sent. If it stops again, tell the centre."

FAILURES: dict[str, Words] = {
    "disk_full": Words(
        "The disk of the server is full", "Deploy a smaller release, or ask for a larger size."
    ),
    "digest_mismatch": Words("Content arrived at the server other than it was sent", _AGAIN),
    "blob_missing": Words("Content of the release is not in the store any more", _AGAIN),
    "blob_too_large": Words(
        "A file of the release is larger than may be stored",
        "Make the file smaller and deploy again.",
    ),
    "deployment_is_live": Words("The release to be replaced is the one that is live", _AGAIN),
    "release_missing": Words("The release is not assembled on the server", _AGAIN),
    "release_check_failed": Words(
        "The release did not answer as it must; the check's output tells more",
        "Mend the content and deploy again.",
    ),
    "path_malformed": Words(
        "A path of the release can't be served", "Rename the file and deploy again."
    ),
}
CANCELLATIONS: dict[str, Words] = {
    "overtaken": Words(
        "Deployment {by} was asked for before this one had begun",
        "There is nothing to do: the newer one takes its place.",
    ),
    "hosting_gone": Words(
        "The hosting came to its end before this deployment was live",
        "Nothing can be deployed to it any more.",
    ),
}
UNKNOWN_FAILURE = Words("It could not be put live: {code}", _AGAIN)


def words_of(code: str) -> Words:
    """Return what an outcome's code says to people; an unknown one still says that it failed."""
    return FAILURES.get(code) or CANCELLATIONS.get(code) or UNKNOWN_FAILURE
