"""How Ansible is set up for runs: pure builders of its environment, arguments and data."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from control_plane.ports.automation.port import RunSpec

HANDLE_VARIABLE = "EDUBBA_RUN_HANDLE"  # the number of the handle on which a run's data lie
LEADER_FILE = "leader.json"
SWEEP = b"sweep"  # an order to the warm process, and its answer when it is done
INVENTORY_FILE = "servers.edubba"
PLUGINS = Path(__file__).parent / "plugins"
EVENT_MAX = 65_536  # characters of one task's result; a larger one is left out of its event


def new_environment(playbooks: Path, folder: Path, callbacks: Path) -> dict[str, str]:
    """Return the warm process's environment: Ansible reads its settings once, when imported.

    What is the same everywhere stands in `plugins/ansible.cfg`.
    """
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "ANSIBLE_CONFIG": str(PLUGINS / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "ansible"),  # none: Ansible's own modules only
        "ANSIBLE_ROLES_PATH": str(playbooks / "roles"),
        "ANSIBLE_INVENTORY_PLUGINS": str(PLUGINS / "inventory"),
        "ANSIBLE_CONNECTION_PLUGINS": str(PLUGINS / "connection"),
        "ANSIBLE_CALLBACK_PLUGINS": str(callbacks),
        "MAX_EVENT_RES": str(EVENT_MAX),
    }


def new_arguments(spec: RunSpec) -> list[str]:
    """Return the command line's options; nothing that a request said is among them."""
    return ["--check", "--diff"] if spec.is_check else []


def new_run_data(spec: RunSpec) -> bytes:
    """Return what the inventory plugin reads: servers, how they are reached, variables, secrets."""
    servers = {access.server_id: {**access.variables, **access.secrets} for access in spec.servers}
    variables: Mapping[str, Any] = {**spec.variables, "run_secrets": dict(spec.secrets)}
    return json.dumps({"servers": servers, "variables": variables}).encode()
