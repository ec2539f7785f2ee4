"""`python -m control_plane.ports.edge`: write the configuration of the edge, as root."""

import argparse
import hashlib
from ipaddress import IPv4Network
from pathlib import Path

from control_plane.ports.edge.config import TENANTS, EdgeConfiguration, write_configuration


def main() -> None:
    """Write it if anything differs, and say in one word whether it did."""
    parser = argparse.ArgumentParser(prog="edubba-edge-configuration", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--configuration", type=Path, required=True)
    parser.add_argument("--https-port", type=int, default=443)
    parser.add_argument("--tenants", type=_networks, default=(TENANTS,))
    options = parser.parse_args()
    before = _digest(options.configuration)
    configuration = EdgeConfiguration(
        options.state, options.configuration, options.https_port, options.tenants
    )
    write_configuration(configuration)
    word = "present" if _digest(options.configuration) == before else "written"
    print(word)  # noqa: T201  # the answer to whoever called


def _networks(text: str) -> tuple[IPv4Network, ...]:
    """Return what is written with commas between."""
    return tuple(IPv4Network(one) for one in text.split(","))


def _digest(folder: Path) -> str:
    contents = b"".join(path.name.encode() + path.read_bytes() for path in sorted(folder.glob("*")))
    return hashlib.sha256(contents).hexdigest()


if __name__ == "__main__":
    main()
