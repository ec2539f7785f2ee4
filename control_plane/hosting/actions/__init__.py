"""What is done with requests and hostings: one verb, one function."""

from control_plane.hosting.actions.asking import ask_for_logs, may_ask_for_logs
from control_plane.hosting.actions.attaching import (
    Delivered,
    attach,
    credential_context,
    detach,
    note_addresses,
    note_delivered,
    note_ways,
    set_credential,
)
from control_plane.hosting.actions.changing import submit_change, submit_restore
from control_plane.hosting.actions.deciding import approve, reject, withdraw
from control_plane.hosting.actions.deploying import (
    DeployWish,
    RollbackWish,
    deploy,
    roll_back,
)
from control_plane.hosting.actions.fulfilling import begin_change, reopen
from control_plane.hosting.actions.joining import Joined
from control_plane.hosting.actions.living import (
    Configured,
    abandon,
    begin_building,
    begin_ending,
    mark_active,
    mark_ended,
    mark_failed,
    mark_purged,
    mark_suspended,
    note_configured,
    note_observed,
    quarantine,
    restore_service,
    return_to_live,
)
from control_plane.hosting.actions.setting import (
    SettingChanges,
    change_settings,
    publish_recipient,
    secret_context,
)
from control_plane.hosting.actions.submitting import (
    Proposal,
    propose,
    submit_create,
    submit_end,
)
from control_plane.hosting.actions.suspending import resume, suspend
from control_plane.hosting.actions.terms import Terms, installed_policy
from control_plane.hosting.actions.wishing import Applied, Granted, apply_wishes, plan_wishes

__all__ = [
    "Applied",
    "Configured",
    "Delivered",
    "DeployWish",
    "Granted",
    "Joined",
    "Proposal",
    "RollbackWish",
    "SettingChanges",
    "Terms",
    "abandon",
    "apply_wishes",
    "approve",
    "ask_for_logs",
    "attach",
    "begin_building",
    "begin_change",
    "begin_ending",
    "change_settings",
    "credential_context",
    "deploy",
    "detach",
    "installed_policy",
    "mark_active",
    "mark_ended",
    "mark_failed",
    "mark_purged",
    "mark_suspended",
    "may_ask_for_logs",
    "note_addresses",
    "note_configured",
    "note_delivered",
    "note_observed",
    "note_ways",
    "plan_wishes",
    "propose",
    "publish_recipient",
    "quarantine",
    "reject",
    "reopen",
    "restore_service",
    "resume",
    "return_to_live",
    "roll_back",
    "secret_context",
    "set_credential",
    "submit_change",
    "submit_create",
    "submit_end",
    "submit_restore",
    "suspend",
    "withdraw",
]
