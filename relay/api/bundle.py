"""The single file that a relay's operator hands to a site, so that nobody copies addresses and certificates by hand.

It holds only what could be printed on a sheet of paper: the relay's address, the certificate authority it uses and a
join token. Keys, passphrases, policy and proxy belong to the site and are never in it, so the worst that a forged
bundle can do is to point to another relay, which is noticed when the twelve words are compared.
"""

import json
import os
import time
from pathlib import Path
from typing import Annotated, Literal

from cryptography import x509
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from yarl import URL

from secagg.errors import ParameterError

MAX_BYTES = 64 << 10
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


class BundleError(ParameterError):
    """The file is not a valid bundle, or is no longer usable; the message says what to ask the relay's operator for."""


class Bundle(BaseModel):
    """The data with which a site reaches a relay.

    Attributes:
        relay: the relay's address; https unless it is this machine.
        ca: PEM certificates that the relay's certificate must chain to; None for the system's trust store.
        token: join token for one site, usable once; None if it is delivered separately.
        label: name of the recipient, chosen by the operator.
        expires: when the tokens expire, seconds since 1970.
        rehearsal: tokens for a rehearsal, the coordinator's first; the sites that enrol with them are made up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    secagg_bundle: Literal[1] = 1
    relay: Annotated[str, Field(max_length=300)]
    ca: Annotated[str, Field(max_length=MAX_BYTES // 2)] | None = None
    token: SecretStr | None = None
    label: Annotated[str, Field(max_length=100)] = ""
    expires: float | None = None
    rehearsal: tuple[SecretStr, ...] = ()

    def check(self, *, now: float) -> None:
        """Check the rules that the schema does not express.

        Raises:
            BundleError: `relay` is not a relay's address, `ca` is not just certificates, or the token has expired.
        """
        place = URL(self.relay)
        if place.scheme not in {"http", "https"} or not place.host or place.user or place.path not in {"", "/"}:
            raise BundleError(f"{self.relay!r} is not a relay's address; use the form https://relay.example.org")
        if self.ca is not None:
            _check_certificates(self.ca)
        if self.expires is not None and now > self.expires:
            day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.expires))
            raise BundleError(f"the bundle's token expired on {day}; ask the relay's operator for a new bundle")

    def write(self, path: Path) -> None:
        """Write the file, readable by its owner only; raises BundleError if the file exists."""
        facts = self.model_dump(mode="json")
        facts["token"] = None if self.token is None else self.token.get_secret_value()
        facts["rehearsal"] = [token.get_secret_value() for token in self.rehearsal]
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise BundleError(f"{path} already exists; a bundle never overwrites a file") from None
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(facts, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def read(cls, path: Path, *, now: float) -> "Bundle":
        """Read and check a bundle from outside; raises BundleError."""
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise BundleError(f"{path} is too large to be a bundle")
        try:
            found = cls.model_validate_json(content)
        except ValidationError as error:
            places = sorted({".".join(map(str, problem["loc"])) or "the file" for problem in error.errors()})
            raise BundleError(f"{path} is not a bundle from a relay's operator; invalid: {', '.join(places)}") from None
        found.check(now=now)
        return found


def _check_certificates(text: str) -> None:
    """Refuse everything but certificates: a private key in a file that is passed around is no longer private."""
    try:
        found = x509.load_pem_x509_certificates(text.encode("ascii"))
    except ValueError:
        raise BundleError("the bundle's ca is not a list of PEM certificates") from None
    if text.count("-----BEGIN ") != len(found) or text.count(_CERTIFICATE) != len(found):
        raise BundleError("the bundle's ca contains more than certificates, such as a key; do not pass it on")
