"""TLS on the public port: loads the certificate files, and reloads them without a restart.

Each handshake uses the context current at that moment. A pair that does not match, is half written or cannot be read
leaves the old one in force: a failed renewal must not take the relay offline.
"""

import asyncio
import ssl
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from cryptography import x509

from relay.service import logs
from secagg.errors import ParameterError

_LOOK_S = 2.0

_log = logs.logger(__name__)


class CertificateError(ParameterError):
    """The files are not a certificate with its key; the message says which and why."""


class Certificate:
    """A certificate chain with its key and, if client certificates are required, their authority.

    Args:
        chain: PEM file with the relay's certificate first.
        key: PEM file with its key, without a passphrase.
        client_authority: PEM file of the authority whose client certificates are required; None for no requirement.

    Raises:
        CertificateError: the files do not match.
    """

    def __init__(self, chain: Path, key: Path, client_authority: Path | None) -> None:
        self._chain, self._key, self._client_authority = chain, key, client_authority
        self._seen = self._stamps()
        self._context, self.expires = self._load()

    def context(self) -> ssl.SSLContext:
        """Return the context for the next connection."""
        return self._context

    def reload(self) -> bool:
        """Read the files again; returns False if they do not match, and keeps the old ones."""
        self._seen = self._stamps()
        try:
            self._context, self.expires = self._load()
        except CertificateError as error:
            _log.error("the certificate was not replaced", reason=str(error))
            return False
        _log.info("certificate loaded", expires=self.expires.isoformat())
        return True

    async def watch(self) -> None:
        """Reload whenever a file has changed; runs until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._stamps() != self._seen:
                self.reload()

    def _load(self) -> tuple[ssl.SSLContext, datetime]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            expires = x509.load_pem_x509_certificates(self._chain.read_bytes())[0].not_valid_after_utc
            context.load_cert_chain(self._chain, self._key, password=_refuse_passphrase)
            if self._client_authority is not None:
                context.load_verify_locations(self._client_authority)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise CertificateError(f"{self._chain} and {self._key}: {_reason(error)}") from None
        return context, expires

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in (self._chain, self._key, self._client_authority) if path is not None]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    with suppress(OSError):
        found = path.stat()
        return (found.st_ino, found.st_mtime_ns, found.st_size)
    return None


def _refuse_passphrase() -> str:
    raise CertificateError("the key has a passphrase, which nobody can enter at a restart; remove it with openssl pkey")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return "the key does not match the certificate"
    if isinstance(error, ssl.SSLError):
        return f"OpenSSL cannot read these PEM files ({error.reason or error})"
    return f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else "not a certificate in PEM format"
