"""The servers of one run and its variables, read from memory that the runner shared."""

import json
import os
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import BaseInventoryPlugin

from control_plane.ports.automation.settings import HANDLE_VARIABLE, INVENTORY_FILE

DOCUMENTATION = """
name: edubba_run
short_description: The servers of one run
description:
  - Reads one JSON document from the handle whose number is in C(EDUBBA_RUN_HANDLE).
  - No text of it is trusted as a template, whoever wrote it.
options: {}
"""


class InventoryModule(BaseInventoryPlugin):  # type: ignore[misc]  # Ansible ships no types
    """Ansible's inventory plugin `edubba_run`."""

    NAME = "edubba_run"

    def verify_file(self, path: str) -> bool:
        """Whether the inventory that was named is this one."""
        return path.endswith(INVENTORY_FILE)

    def parse(
        self,
        inventory: InventoryData,
        loader: DataLoader,
        path: str,
        cache: bool = True,  # noqa: FBT001, FBT002  # Ansible's own signature
    ) -> None:
        """Add the servers and what is known of them."""
        super().parse(inventory, loader, path, cache)
        data = _read()
        for name, value in data["variables"].items():
            inventory.set_variable("all", name, value)
        for server_id, variables in data["servers"].items():
            inventory.add_host(server_id)
            for name, value in variables.items():
                inventory.set_variable(server_id, name, value)


def _read() -> dict[str, Any]:
    number = os.environ.pop(HANDLE_VARIABLE, "")
    if not number.isdigit():
        raise AnsibleParserError(f"{HANDLE_VARIABLE} names no handle")
    with os.fdopen(int(number), "rb") as file:
        file.seek(0)
        found: dict[str, Any] = json.load(file)
    return found
