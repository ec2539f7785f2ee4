"""What ansible-runner starts in Ansible's place: hands its terminal to the warm process.

`python3 -IS launcher.py SOCKET RUN ARGUMENT…`. Standard library only and no import of ours, so that
it begins within milliseconds. Ends as the playbook ends, and the playbook ends with it.
"""

import json
import os
import socket
import sys

NO_ANSWER = 254  # ansible-runner's own status for a run that was cut off
_TOLD = ("AWX_ISOLATED_DATA_DIR", "RUNNER_OMIT_EVENTS", "RUNNER_ONLY_FAILED_EVENTS")


def main() -> int:
    """Ask for the run, wait for its end, return its status."""
    path, run_id, *arguments = sys.argv[1:]
    wish = {
        "run_id": run_id,
        "arguments": arguments,
        "cwd": os.getcwd(),  # noqa: PTH109  # pathlib costs a third of the start
        "environment": {name: os.environ[name] for name in _TOLD if name in os.environ},
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(path)
        socket.send_fds(connection, [json.dumps(wish).encode()], [1, 2])
        answer = connection.recv(1 << 10)
    return int(answer) if answer.isdigit() else NO_ANSWER


if __name__ == "__main__":
    sys.exit(main())
