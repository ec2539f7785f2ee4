"""Plays of the automation in memory that do to the cloud in memory what real ones do."""

import json

from control_plane.ports.automation.memory import Play, Played
from control_plane.ports.automation.port import EventKind, RunSpec
from control_plane.ports.cloud.memory import MemoryCloud, Server

REFUSED = "the play refuses"  # what it says where there is a setting REFUSED
HANGS = "HANGS"  # the name of a setting with which it never ends


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nnobody's\n-----END CERTIFICATE-----\n"
KINDS = ("hosting_static_site", "hosting_python_app", "hosting_postgres_database")


def plays_on(cloud: MemoryCloud) -> dict[str, Play]:
    """Return a play of each kind of hosting."""
    return dict.fromkeys(KINDS, configuring(cloud))


def configuring(cloud: MemoryCloud) -> Play:
    """Return a play that writes its variables and its secrets' names into the server."""

    def play(spec: RunSpec) -> Played | None:
        environment = spec.secrets["environment"]
        if "REFUSED" in environment:
            return Played(failure=f"{REFUSED} {environment['REFUSED']}")
        if HANGS in environment:
            return None
        users, told = spec.secrets["users"], spec.secrets["certificates"]
        wish = json.dumps([spec.variables, environment, users, told], sort_keys=True)
        changes = []

        def configure(server: Server) -> None:
            is_new = (server.configuration, server.down) != (wish, ())
            changes.append(EventKind.CHANGED if is_new else EventKind.OK)
            server.configuration, server.down = wish, ()

        for access in spec.servers:
            if not cloud.may_command(access.server_id, spec.run_id, access.secrets["ticket"]):
                return Played(failure="there is no way into the server")
            cloud.sabotage(access.server_id, configure)
        declared = {"services": ["web"], "database": "app", "certificate": CERTIFICATE}
        return Played([("Configure", change) for change in changes], declared)

    return play
