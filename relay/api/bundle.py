"""What a relay's operator hands to a site in one file, so that nobody copies addresses and certificates by hand.

It holds what the site could as well read off a sheet of paper: where the relay is, whose certificate it shows, and
one join token. No key, no passphrase, no policy and no proxy: those are the site's own, and a bundle that came from
somebody else can therefore do no more than lead to another relay, which the comparison of the twelve words then shows.
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
    """The file is no bundle, or not one that may be used; says what to ask the relay's operator for."""


class Bundle(BaseModel):
    """A site's way to a relay.

    Attributes:
        relay: the relay's address, https unless it is this very machine.
        ca: certificates in PEM form that the relay's one must lead to; None for those that the system trusts.
        token: joins one site, once; None where it comes by another way.
        label: for whom the operator made it.
        expires: end of the tokens' validity, seconds since 1970.
        rehearsal: tokens for a rehearsal, the coordinator's first; who enrols with them is made up and leaves again.
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
        """Look at what the form does not say.

        Raises:
            BundleError: no relay's address, something else than certificates, or the token is not valid any more.
        """
        place = URL(self.relay)
        if place.scheme not in {"http", "https"} or not place.host or place.user or place.path not in {"", "/"}:
            raise BundleError(f"{self.relay!r} is no relay's address; it has the form https://relay.example.org")
        if self.ca is not None:
            _check_certificates(self.ca)
        if self.expires is not None and now > self.expires:
            day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.expires))
            raise BundleError(f"the bundle's token was valid until {day}; ask the relay's operator for another bundle")

    def write(self, path: Path) -> None:
        """Write the file, for its owner alone; raises BundleError where there is one."""
        facts = self.model_dump(mode="json")
        facts["token"] = None if self.token is None else self.token.get_secret_value()
        facts["rehearsal"] = [token.get_secret_value() for token in self.rehearsal]
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise BundleError(f"{path} exists; a bundle never overwrites a file") from None
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(facts, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def read(cls, path: Path, *, now: float) -> "Bundle":
        """Read and check a file that came from outside; raises BundleError."""
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise BundleError(f"{path} is longer than any bundle")
        try:
            found = cls.model_validate_json(content)
        except ValidationError as error:
            places = sorted({".".join(map(str, problem["loc"])) or "the file" for problem in error.errors()})
            raise BundleError(f"{path} is no bundle of a relay's operator: {', '.join(places)}") from None
        found.check(now=now)
        return found


def _check_certificates(text: str) -> None:
    """Refuse all but certificates: a private key in a file that travels would be one that is not private any more."""
    try:
        found = x509.load_pem_x509_certificates(text.encode("ascii"))
    except ValueError:
        raise BundleError("the bundle's ca is no list of certificates in PEM form") from None
    if text.count("-----BEGIN ") != len(found) or text.count(_CERTIFICATE) != len(found):
        raise BundleError("the bundle's ca holds something else than certificates, such as a key; do not pass it on")
