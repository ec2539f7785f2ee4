"""The server's one interface: an address by DHCP, what it is told, and what nobody hears again."""

import fcntl
import socket
import struct
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import guest_kernel as kernel
from guest_state import PASSING

INTERFACE = "eth0"
METADATA = "http://169.254.169.254/openstack/latest/user_data"
CONFIG_DRIVE = "config-2"
MOST = 64 * 1024  # as much as OpenStack takes
DHCP = (
    *("/bin/busybox", "udhcpc", "-f", "-i", INTERFACE, "-s", "/usr/lib/edubba/guest-lease"),
    *("-O", "staticroutes", "-O", "mtu", "-t", "5", "-T", "1", "-A", "2"),
)
CLOSED = PASSING / "metadata-is-closed"  # who leases addresses adds no way to it any more
_ASK_S = 5.0
_SIOCGIFADDR = 0x8915  # linux/sockios.h
# Nobody in here needs the metadata again, which tell of the server what a tenant need not know.
# Who may bind to the interface gets past a route, so that it takes a rule. And what is tried on
# the door for runs comes from outside, never from here.
RULES = """
table inet edubba {
    chain output {
        type filter hook output priority 0; policy accept;
        ip daddr 169.254.169.254 drop
        ip6 daddr fe80::a9fe:a9fe drop
        oifname "lo" tcp dport 22 drop
    }
}
"""
# Only what is not root's: a tenant's process can't take the place of sshd while that restarts.
SETTINGS = {
    "net/ipv4/ip_unprivileged_port_start": "23",
    "net/ipv4/ip_forward": "0",
    "net/ipv4/conf/all/accept_redirects": "0",
    "net/ipv4/conf/all/accept_source_route": "0",
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
}


def find_address(interface: str = INTERFACE) -> str | None:
    """Return the IPv4 address of the interface, once it has one."""
    request = struct.pack("16s24x", interface.encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        try:
            found = fcntl.ioctl(handle, _SIOCGIFADDR, request)
        except OSError:
            return None
    return socket.inet_ntoa(found[20:24])


def raise_interfaces() -> list[str]:
    """Prepare the interface for its lease; return what could not be done."""
    faults = []
    for path, value in SETTINGS.items():
        try:
            Path("/proc/sys", path).write_text(value)
        except OSError as error:
            faults.append(f"{path}: {error.strerror}")
    kernel.raise_interface("lo")
    try:
        kernel.raise_interface(INTERFACE)
        kernel.fill_in_checksums(INTERFACE)
    except OSError as error:
        faults.append(f"{INTERFACE}: {error.strerror}")
    return faults


def _read_drive(mount_point: Path) -> bytes | None:
    """Return what the drive says that some clouds put beside the disk, where there is one."""
    done = subprocess.run(
        ["/sbin/blkid", "-t", f"LABEL={CONFIG_DRIVE}", "-o", "device"],
        capture_output=True,
        text=True,
        check=False,
    )
    device = done.stdout.partition("\n")[0].strip()
    if not device:
        return None
    mount_point.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = kernel.RDONLY | kernel.NOSUID | kernel.NODEV | kernel.NOEXEC
    kernel.mount(device, str(mount_point), "iso9660", flags)
    try:
        return (mount_point / "openstack/latest/user_data").read_bytes()
    finally:
        subprocess.run(["/bin/umount", str(mount_point)], check=True)


def _ask_metadata() -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(METADATA, timeout=_ASK_S) as answer:
        text: bytes = answer.read(MOST)
    return text


def read_user_data() -> bytes | None:
    """Return what this server is told, or None where nobody answers yet."""
    try:
        text = _read_drive(PASSING / "drive")
        return _ask_metadata() if text is None else text
    except (OSError, urllib.error.URLError):
        return None


def close_metadata() -> list[str]:
    """Let nobody in here reach the metadata any more; return what could not be done."""
    CLOSED.touch()
    faults = []
    route = ["/bin/busybox", "ip", "route"]
    subprocess.run([*route, "del", "169.254.169.254/32"], capture_output=True, check=False)
    commands = (
        ([*route, "add", "unreachable", "169.254.169.254/32"], ""),
        (["/usr/sbin/nft", "-f", "-"], RULES),
    )
    for argv, text in commands:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            faults.append(f"{argv[0]}: {done.stderr.strip()[-200:]}")
    return faults


def set_name(server_id: str) -> None:
    """Let the server carry its id as its name."""
    socket.sethostname(server_id.replace("_", "-"))
