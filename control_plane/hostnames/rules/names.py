"""What may be a hostname: one label below the installation's zone, in one script. Pure."""

import unicodedata
from dataclasses import dataclass
from typing import ClassVar

import idna

from control_plane.hostnames.rules.looks import look_of, script_of
from control_plane.kit.errors import Problem
from control_plane.kit.text import Phrase

MAX_LABEL = 63  # RFC 1035, in octets of the encoded form
MAX_NAME = 253
MIN_LABEL = 2

# Names that would let somebody pass for the data centre, for mail, or for the product itself.
RESERVED = frozenset(
    {
        *("www", "www1", "www2", "ftp", "sftp", "ssh", "vpn", "proxy", "cdn", "static"),
        *("mail", "email", "smtp", "imap", "pop", "pop3", "mx", "webmail", "autodiscover"),
        *("autoconfig", "postmaster", "hostmaster", "abuse", "security", "root", "wpad"),
        *("ns", "ns1", "ns2", "ns3", "ns4", "dns", "localhost", "local", "internal", "intranet"),
        *("api", "app", "admin", "administrator", "console", "dashboard", "portal-admin"),
        *("login", "auth", "sso", "id", "account", "accounts", "oauth", "password", "register"),
        *("edubba", "status", "metrics", "monitoring", "prometheus", "grafana", "health-check"),
        *("edge", "gateway", "registry", "git", "ci", "backup", "test", "staging", "example"),
        *("gov", "government", "iraq", "pki", "ca", "ocsp", "crl", "ledger", "operator", "support"),
    }
)


@dataclass(frozen=True, slots=True)
class Name:
    """A hostname that may be claimed: `ascii` for the wire, `look` for telling apart."""

    ascii: str
    look: str


def parse_hostname(text: str, zone: str) -> Name:
    """Return the hostname that somebody means by `label` or `label.zone`.

    Upper case and a closing dot are forgiven. Raises: HostnameMalformed, HostnameForeign,
    HostnameReserved.
    """
    given = unicodedata.normalize("NFC", text.strip().removesuffix(".").lower())
    label = _label_below(given, zone.lower(), text)
    encoded = _encode(label, text)
    spoken = idna.decode(encoded)
    if script_of(spoken) is None:
        raise HostnameMalformed(
            hostname=text,
            reason=Phrase("use Latin or Arabic letters, not both, and the digits 0 to 9"),
        )
    ascii_name = f"{encoded}.{zone.lower()}"
    if len(ascii_name) > MAX_NAME:
        raise HostnameMalformed(hostname=text, reason=_too_long())
    look = look_of(spoken)
    if spoken in RESERVED or look in _RESERVED_LOOKS:
        raise HostnameReserved(hostname=text)
    return Name(ascii_name, f"{look}.{zone.lower()}")


def _label_below(given: str, zone: str, text: str) -> str:
    if not given:
        raise HostnameMalformed(hostname=text, reason=Phrase("it is empty"))
    label = given.removesuffix(f".{zone}")
    if "." not in label:
        return label
    if given.endswith(f".{zone}"):
        raise HostnameMalformed(
            hostname=text, reason=Phrase("one label below {zone} is allowed, not more", zone=zone)
        )
    raise HostnameForeign(hostname=text, zone=zone)


def _encode(label: str, text: str) -> str:
    if len(label) < MIN_LABEL:
        raise HostnameMalformed(
            hostname=text, reason=Phrase("it needs at least {least} characters", least=MIN_LABEL)
        )
    if label.replace("-", "").isdigit():
        raise HostnameMalformed(hostname=text, reason=Phrase("it needs at least one letter"))
    try:
        # IDNA 2008 with its contextual and bidirectional rules; also proves a ready `xn--` label.
        encoded = idna.alabel(label).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise HostnameMalformed(hostname=text, reason=_reason(label, error)) from None
    if len(encoded) > MAX_LABEL:
        raise HostnameMalformed(hostname=text, reason=_too_long())
    return encoded


def _reason(label: str, error: Exception) -> Phrase:
    if "too long" in str(error).lower():
        return _too_long()
    if label.startswith("-") or label.endswith("-") or label[2:4] == "--":
        return Phrase("a hyphen may not be first, last, or both third and fourth")
    return Phrase("it has characters that a hostname can't have")


def _too_long() -> Phrase:
    return Phrase("it is longer than {most} characters", most=MAX_LABEL)


_RESERVED_LOOKS = frozenset(look_of(name) for name in RESERVED)


class HostnameMalformed(Problem):
    """What was given can't be a hostname."""

    code: ClassVar[str] = "hostname_malformed"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "“{hostname}” can't be a hostname: {reason}"
    mend: ClassVar[str] = "Choose a short name of letters, digits and hyphens, such as “health”."


class HostnameForeign(Problem):
    """A name outside the installation's zone, whose ownership nobody has proved."""

    code: ClassVar[str] = "hostname_foreign"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "{hostname} is not below {zone}"
    mend: ClassVar[str] = (
        "Choose a name directly below {zone}. Own domains are not offered yet: they need a proof."
    )


class HostnameReserved(Problem):
    """A name that nobody gets, or that looks like one."""

    code: ClassVar[str] = "hostname_reserved"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The hostname {hostname} is reserved"
    mend: ClassVar[str] = "Choose a name that says which institution or service it is."


class HostnameTaken(Problem):
    """Somebody has this name; whose it is isn't said."""

    code: ClassVar[str] = "hostname_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The hostname {hostname} is taken"
    mend: ClassVar[str] = "Choose another name."


class HostnameLookalike(Problem):
    """People would mistake this name for one that is taken."""

    code: ClassVar[str] = "hostname_lookalike"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The hostname {hostname} looks like one that is taken"
    mend: ClassVar[str] = "Choose a name that nobody could mistake for another one."
