"""A private certificate authority for relays without a public name: created once, used for each new certificate.

Clients get `ca.pem` (their setting `ca_file`). `ca.key` signs further certificates and should be kept offline.
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
"""Clients' clocks may be slow."""


def init(folder: Path, hosts: Iterable[str], *, days: int) -> list[Path]:
    """Create an authority and the relay's certificate for its host names and addresses.

    Returns:
        The files: ca.pem, ca.key, relay.pem, relay.key.

    Raises:
        ParameterError: no host was given, or the folder already has an authority.
    """
    names = [_host(host) for host in hosts]
    if not names:
        raise ParameterError("give at least one --host under which clients reach the relay")
    private_folder(folder)
    if (folder / "ca.key").exists():
        raise ParameterError(f"{folder} already has an authority; for another certificate: secagg-relay tls issue")
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _sign(_subject("secagg relay authority"), key.public_key(), days=AUTHORITY_DAYS, issuer=None, by=key)
    write_whole(folder / "ca.pem", _pem(authority))
    write_whole(folder / "ca.key", _key_pem(key))
    return [folder / "ca.pem", folder / "ca.key", *_issue(folder, "relay", names, days=days)]


def issue(folder: Path, name: str, hosts: Iterable[str], *, days: int) -> list[Path]:
    """Issue another certificate: for the relay if hosts are given (renewal), otherwise for a client (mutual TLS).

    Returns:
        The files: <name>.pem, <name>.key; existing ones of that name are replaced.

    Raises:
        ParameterError: there is no authority, or the name cannot be used as a file name.
    """
    if name == "ca" or not name.replace("-", "").replace("_", "").isalnum():
        raise ParameterError("a certificate's name may contain letters, digits, - and _, and must not be ca")
    return _issue(folder, name, [_host(host) for host in hosts], days=days)


def _issue(folder: Path, name: str, hosts: list[x509.GeneralName], *, days: int) -> list[Path]:
    try:
        authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        by = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except FileNotFoundError as error:
        raise ParameterError(
            f"{error.filename} does not exist; create an authority first: secagg-relay tls init"
        ) from None
    assert isinstance(by, ec.EllipticCurvePrivateKey)  # the only kind that `init` creates
    key = ec.generate_private_key(ec.SECP256R1())
    made = _sign(_subject(name), key.public_key(), days=days, issuer=authority, by=by, hosts=hosts)
    # the key first: a relay that reloads in between finds a mismatched pair and keeps the old one
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
        raise ParameterError(f"{text!r} is not a host name (write international names in their xn-- form)") from None


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
