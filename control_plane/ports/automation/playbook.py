"""Ansible itself, imported whole: whoever imports this has spent a second and 50 MiB on it."""

import sys
from collections.abc import Sequence
from pathlib import Path

import ansible.executor.module_common
import ansible.executor.playbook_executor
import ansible.executor.process.worker
import ansible.executor.task_executor
import ansible.modules
import ansible.plugins.action.command
import ansible.plugins.action.copy
import ansible.plugins.action.normal
import ansible.plugins.action.set_stats
import ansible.plugins.action.template
import ansible.plugins.callback.default
import ansible.plugins.loader
import ansible.plugins.shell.sh
import ansible.plugins.strategy.linear  # noqa: F401  # each run would import them for itself
from ansible import constants
from ansible.cli.playbook import PlaybookCLI


def run_playbook(arguments: Sequence[str], temporary: Path) -> int:
    """Be `ansible-playbook` in this process; return its exit status. Can be done once."""
    # It was read from the environment when Ansible was imported, and there was no run yet.
    constants.DEFAULT_LOCAL_TMP = str(temporary)
    try:
        PlaybookCLI.cli_executor(["ansible-playbook", *arguments])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0
