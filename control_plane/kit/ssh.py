"""OpenSSH's client as it talks to servers: one key, one known host key, no questions."""

LOST = 255  # its own exit status: not reached, or not let in
_OPTIONS = (
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "HostKeyAlgorithms=ssh-ed25519",
    "PreferredAuthentications=publickey",
    "ConnectTimeout=15",
    "ServerAliveInterval=10",
    "ServerAliveCountMax=3",
    "ControlMaster=auto",
    "ControlPersist=15",
    "LogLevel=ERROR",
)


def command(*more: str) -> list[str]:
    """Return the command but for the destination; `more` are options, as `User=root`."""
    options = [part for one in (*_OPTIONS, *more) for part in ("-o", one)]
    return ["ssh", "-F", "none", "-T", *options]
