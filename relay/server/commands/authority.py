"""A private certificate authority for relays without a public name: made once, and asked again for each certificate.

Clients are given `ca.pem` (their setting `ca_file`). `ca.key` signs further certificates and belongs offline.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relay.service.folders import private_folder, write_whole
from secagg.errors import ParameterError

AUTHORITY_DAYS = 3650
_BACKDATED = timedelta(hours=1)
"""Clocks of clients may be behind."""


def init(folder: Path, hosts: Iterable[str], *, days: int) -> list[Path]:
    """Make an authority, and the relay's certificate for its host names and addresses.

    Returns:
        The files: ca.pem, ca.key, relay.pem, relay.key.

    Raises:
        ParameterError: no host, or the folder has an authority already.
    """
    names = [_host(host) for host in hosts]
    if not names:
        raise ParameterError("name at least one --host under which clients reach the relay")
    private_folder(folder)
    if (folder / "ca.key").exists():
        raise ParameterError(f"{folder} has an authority already; for another certificate: secagg-relay tls issue")
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _sign(_subject("secagg relay authority"), key.public_key(), days=AUTHORITY_DAYS, issuer=None, by=key)
    write_whole(folder / "ca.pem", _pem(authority))
    write_whole(folder / "ca.key", _key_pem(key))
    return [folder / "ca.pem", folder / "ca.key", *_issue(folder, "relay", names, days=days)]


def issue(folder: Path, name: str, hosts: Iterable[str], *, days: int) -> list[Path]:
    """Make another certificate: with hosts for the relay (its renewal), without for a client of a relay that asks.

    Returns:
        The files: <name>.pem, <name>.key; older ones of that name are replaced.

    Raises:
        ParameterError: there is no authority, or the name is none for a file.
    """
    if name == "ca" or not name.replace("-", "").replace("_", "").isalnum():
        raise ParameterError("a certificate's name has letters, digits, - and _, and is not ca")
    return _issue(folder, name, [_host(host) for host in hosts], days=days)


def _issue(folder: Path, name: str, hosts: list[x509.GeneralName], *, days: int) -> list[Path]:
    try:
        authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        by = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except FileNotFoundError as error:
        raise ParameterError(f"there is no {error.filename}; make an authority first: secagg-relay tls init") from None
    assert isinstance(by, ec.EllipticCurvePrivateKey)  # `init` makes no other
    key = ec.generate_private_key(ec.SECP256R1())
    made = _sign(_subject(name), key.public_key(), days=days, issuer=authority, by=by, hosts=hosts)
    # the key first: a relay that looks in between finds a pair that does not match, and keeps the old one
    write_whole(folder / f"{name}.key", _key_pem(key))
    write_whole(folder / f"{name}.pem", _pem(made))
    return [folder / f"{name}.pem", folder / f"{name}.key"]


def _sign(
    subject: x509.Name,
    public: ec.EllipticCurvePublicKey,
    *,
    days: int,
    issuer: x509.Certificate | None,
    by: ec.EllipticCurvePrivateKey,
    hosts: Iterable[x509.GeneralName] = (),
) -> x509.Certificate:
    now = datetime.now(UTC)
    hosts = list(hosts)
    building = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        .add_extension(_usage(authority=issuer is None), critical=True)
    )
    if issuer is None:
        building = building.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return building.sign(by, hashes.SHA256())
    building = building.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    building = building.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if hosts:
        building = building.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    return building.sign(by, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        pass
    try:
        return x509.DNSName(text)
    except ValueError:
        raise ParameterError(f"{text!r} is no host name (write international ones in their xn-- form)") from None


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
