"""What happens in a life, in words: the constants of its steps and events, as people say them."""

from typing import Any

from control_plane.cli.terminal import tr

FINISHED = {  # by the step that is over
    "await_decision": "The decision is made",
    "check_plan": "What was approved is still what would be made",
    "open_tenant": "The isolated tenant is there",
    "announce": "The address says that it is being built",
    "build_server": "The server is built",
    "configure": "It is known how the server is inside",
    "play": "The run of its playbook is handed over",
    "follow": "The run of its playbook is over",
    "forget": "What the run left is put away",
    "begin": "The release to deliver is chosen",
    "deliver": "The content is on the server",
    "assemble": "The release is assembled",
    "check": "The release answers as it must",
    "switch": "The release is live on the server",
    "probe": "Its isolation is proved from inside",
    "serve": "The edge serves it",
    "verify": "It was seen through the edge",
    "watch": "Something is wished otherwise, or has to be mended",
    "change": "The change begins",
    "suspend": "Visitors see that it is closed",
    "halt": "The server stands still, its data stays",
    "suspended": "It is being opened again",
    "isolate": "It is taken out of service: its isolation is in doubt",
    "quarantined": "Its isolation is proved again",
    "wind_down": "It is being taken out of service",
    "close_route": "The edge serves it no more",
    "stop_server": "The server is stopped",
    "retain": "The time to keep its data is over",
    "destroy": "What was kept is destroyed",
}
EVENTS = {  # by what happened, or what a step waits for
    "attachment_unreachable": "Waiting until what it is attached to can be reached",
    "cloud_busy": "Waiting for the cloud, which has much to do",
    "cloud_certificate_wrong": "Waiting until the cloud has a certificate that is trusted",
    "cloud_changed": "The cloud is still at it, and is looked at again",
    "cloud_not_answering": "Waiting for the cloud to answer",
    "configuration_failed": "Configuring the server failed and is tried again",
    "database_unavailable": "Waiting for the database",
    "deadline_passed": "This takes longer than it should",
    "disk_busy": "Waiting until the server's disk is free",
    "drift_seen": "It was not as it should be, and is mended",
    "edge_command_failed": "Waiting for the edge",
    "edge_files": "Waiting for the edge's files",
    "edge_not_trusted": "Waiting for a certificate that is trusted",
    "edge_route_unreadable": "Waiting for the edge's routes",
    "edge_unavailable": "Waiting for the edge",
    "edge_unreachable": "Waiting for the edge",
    "ending_began": "Its end begins",
    "ending_revoked": "Its end is taken back",
    "isolation_breaker_open": "Many probes failed at once: a human must look",
    "keyring_unreadable": "Waiting for the keys",
    "lease_lost": "Another worker goes on with it",
    "life_abandoned": "An operator gave it up",
    "life_ended": "It is over",
    "life_stopped": "It stopped: a human is needed",
    "locald_not_answering": "Waiting for the root daemon",
    "nonce_not_seen": "Waiting until it is seen through the edge",
    "page_not_seen": "Waiting until visitors see the page",
    "plan_changed": "The plan has changed and must be decided on anew",
    "probe_impossible": "Waiting until the isolation can be probed",
    "receiver_failed": "The delivery broke off and is tried again",
    "receiver_timed_out": "The delivery took too long and is tried again",
    "recipient_unknown": "Waiting until the worker has published its key",
    "region_not_configured": "Waiting for the region to be configured",
    "region_settings_wrong": "Waiting until the settings of the region are mended",
    "release_preparing": "The release is being prepared on its server",
    "release_unsettled": "The server still finishes what went live",
    "retried": "An operator lets it try again",
    "run_still_ending": "Waiting until a run of a playbook has ended",
    "runner_full": "Waiting for a place among the runs of playbooks",
    "runner_not_answering": "Waiting for the runner of playbooks",
    "runner_not_ready": "Waiting for the runner of playbooks",
    "server_not_running": "Waiting for the server",
    "server_still_there": "Waiting until the server is gone",
    "server_unreachable": "Waiting for the server to answer",
    "server_was_down": "The server went down and is started again",
    "step_crashed": "The step failed in a way that nobody foresaw, and is tried again",
    "waiting_for_decision": "Waiting for the decision",
    "waiting_for_tenant": "Waiting for the tenant",
}


def sentence_of(event: dict[str, Any]) -> str:
    """Return what an event of a life tells; one that has no words is told by its names."""
    known = FINISHED.get(event["step"]) if event["event"] == "step_finished" else None
    words = tr(known) if known else words_of(event["event"])
    told = ", ".join(f"{name}={value}" for name, value in event["facts"].items())
    where = "" if known or event["event"] in EVENTS else f"{event['step']}: "
    return f"{where}{words}{f' ({told})' if told else ''}"


def words_of(constant: str) -> str:
    """Return the words of an event's constant."""
    known = EVENTS.get(constant)
    return tr(known) if known else constant.replace("_", " ")
