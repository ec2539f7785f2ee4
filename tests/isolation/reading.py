"""Reading pages from inside a server, by a program of an unprivileged user there.

A connection alone proves little (a proxy on the way may take any): what was read counts.
"""

import json
import subprocess
from collections.abc import Mapping

from control_plane.ports.cloud.port import ServerSpec
from tests.locald.world import LocaldWorld

TRY = """
import json, sys, urllib.request
found = {}
for name, url in json.load(sys.stdin).items():
    try:
        found[name] = urllib.request.urlopen(url, timeout=1).read(200).decode()
    except OSError as error:
        found[name] = None
print(json.dumps(found))
"""


def read_from_inside(
    world: LocaldWorld, spec: ServerSpec, wanted: Mapping[str, object], program: str = TRY
) -> dict[str, str | None]:
    """Return what could be read, by the names of what was wanted."""
    argv = ["runc", "--root", str(world.names.runc_root), "exec", "-u", "990:990"]
    finished = subprocess.run(
        [*argv, spec.server_id, "/usr/bin/python3", "-c", program],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str | None] = json.loads(finished.stdout)
    return found
