"""What is done with content and deployments: one verb, one function."""

from control_plane.releases.actions.collecting import ensure_gc_life, forget_blobs
from control_plane.releases.actions.content import (
    create_release,
    find_missing_blobs,
    keep_content,
    put_manifest,
    read_manifest,
    record_blob,
    refusal_of,
    store,
)
from control_plane.releases.actions.deploying import (
    cancel_deployment,
    cancel_unfinished,
    fail_deployment,
    finish_deployment,
    note_progress,
    start_deployment,
)
from control_plane.releases.actions.deployments import (
    Place,
    Reason,
    create_deployment,
    create_placeholder_deployment,
    get_rollback_target,
    require_deployable,
)

__all__ = [
    "Place",
    "Reason",
    "cancel_deployment",
    "cancel_unfinished",
    "create_deployment",
    "create_placeholder_deployment",
    "create_release",
    "ensure_gc_life",
    "fail_deployment",
    "find_missing_blobs",
    "finish_deployment",
    "forget_blobs",
    "get_rollback_target",
    "keep_content",
    "note_progress",
    "put_manifest",
    "read_manifest",
    "record_blob",
    "refusal_of",
    "require_deployable",
    "start_deployment",
    "store",
]
