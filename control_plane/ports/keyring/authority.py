"""The internal certificate authority as pure functions: what it issues, and what it never does.

Visitors' machines are told to trust it, so it can speak for one zone only, if it has one.
"""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from control_plane.kit.errors import Refused
from control_plane.ports.keyring.port import IssuedCertificate

CA_LIFETIME = timedelta(days=3652)  # ten years with their leap days
LEAF_DAYS_MAX = 90  # short enough that renewal is practised, as Let's Encrypt does
_CLOCK_SKEW = timedelta(hours=1)  # a visitor's clock may be slow
_COMMON_NAME_MAX = 64  # ub-common-name of RFC 5280


def new_authority(zone: str | None, now: datetime) -> bytes:
    """Return a new CA as PEM: its certificate, then its key (ECDSA P-256).

    With a zone (`edubba.localhost`) the CA is constrained to it: a client refuses any certificate
    of this CA for a name outside, and for any IP address.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Edubba CA ({zone})" if zone else "Edubba CA")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
    )
    if zone:
        builder = builder.add_extension(_constraints(zone), critical=True)
    return _pem(builder.sign(key, hashes.SHA256())) + _key_pem(key)


def certificate_of(authority_pem: bytes) -> str:
    """Return the CA's certificate alone."""
    return _pem(x509.load_pem_x509_certificate(authority_pem)).decode("ascii")


def issue(authority_pem: bytes, names: list[str], days: int, now: datetime) -> IssuedCertificate:
    """Issue a server certificate for DNS names, 1..90 days, never longer than the CA's own life.

    Raises Refused: `certificate_without_names`, `certificate_days`, `name_malformed`,
    `name_outside_zone`, `authority_expired`.
    """
    authority = x509.load_pem_x509_certificate(authority_pem)
    signing_key = serialization.load_pem_private_key(authority_pem, password=None)
    if not isinstance(signing_key, ec.EllipticCurvePrivateKey):
        raise Refused("authority_unreadable")
    _check_wish(authority, names, days)
    not_after = min(now + timedelta(days=days), authority.not_valid_after_utc)
    if not_after <= now:
        raise Refused("authority_expired", not_after=not_after.isoformat())
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        x509.CertificateBuilder()
        .subject_name(_name(names[0]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(not_after)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
            critical=False,
        )
        .sign(signing_key, hashes.SHA256())
    )
    return IssuedCertificate(
        chain_pem=_pem(leaf).decode("ascii"),  # clients hold the CA itself
        key_pem=_key_pem(key).decode("ascii"),
        not_after=leaf.not_valid_after_utc.astimezone(UTC),
    )


def _check_wish(authority: x509.Certificate, names: list[str], days: int) -> None:
    if not names:
        raise Refused("certificate_without_names")
    if not 1 <= days <= LEAF_DAYS_MAX:
        raise Refused("certificate_days", days=days, most=LEAF_DAYS_MAX)
    zone = _zone_of(authority)
    for name in names:
        bare = name.removeprefix("*.")
        if not bare.isascii() or bare != bare.lower() or "*" in bare or not bare.strip("."):
            raise Refused("name_malformed", name=name)
        if zone and bare != zone and not bare.endswith(f".{zone}"):
            raise Refused("name_outside_zone", name=name, zone=zone)


def _zone_of(authority: x509.Certificate) -> str | None:
    try:
        found = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None
    permitted = found.permitted_subtrees or []
    return next(str(name.value) for name in permitted if isinstance(name, x509.DNSName))


def _constraints(zone: str) -> x509.NameConstraints:
    every_address = [
        x509.IPAddress(IPv4Network("0.0.0.0/0")),
        x509.IPAddress(IPv6Network("::/0")),
    ]
    return x509.NameConstraints([x509.DNSName(zone)], every_address)


def _name(text: str) -> x509.Name:
    if len(text) > _COMMON_NAME_MAX:
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Edubba")])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
