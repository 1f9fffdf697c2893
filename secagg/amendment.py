"""Amendments: later versions of a project's terms, for the same coordinator and the same sites.

Spec: 01-wire §3.1. The first roster of a project is confirmed by its words, which cover the keys of all parties. From
then on the coordinator's signature suffices for a new version of the terms, since it cannot change a key. Each version
has a roster of its own, whose digest manifests refer to, and names the digest of the version before: a site can tell
which version an epoch belongs to, and that it was shown every version in between.
"""

from collections.abc import Iterable
from typing import Annotated, NamedTuple

from secagg.codec import U32, Blob, Fixed, Hash, Record, record, tagged_hash
from secagg.errors import FaultyCoordinatorError
from secagg.identity import SIGNATURE_BYTES, Identity, InvalidSignatureError, Roster, verify

MAX_AMENDED_TERMS_BYTES = 64 << 10
FIRST_VERSION = 1
_LABEL = "amendment"


class AmendedRoster(NamedTuple):
    """A version of a project: its number, its roster and the bytes of its terms."""

    version: int
    roster: Roster
    terms: bytes


@record
class Amendment(Record):
    """The next version of a project's terms, signed by its coordinator. `before` is the previous roster's digest."""

    before: Hash
    version: Annotated[int, U32]
    terms: Annotated[bytes, Blob(MAX_AMENDED_TERMS_BYTES)]
    signature: Annotated[bytes, Fixed(SIGNATURE_BYTES)]

    @classmethod
    def sign(cls, identity: Identity, before: AmendedRoster, terms: bytes) -> "Amendment":
        """Sign the version that follows another one."""
        digest, version = before.roster.digest(), before.version + 1
        unsigned = cls(before=digest, version=version, terms=terms, signature=bytes(SIGNATURE_BYTES))
        return cls(
            before=digest, version=version, terms=terms, signature=identity.sign(_LABEL, unsigned._signed_hash())
        )

    def follow(self, before: AmendedRoster) -> AmendedRoster:
        """Return the version that this amendment makes of the one before.

        Raises:
            FaultyCoordinatorError: V-0801 the roster's coordinator did not sign it, V-0802 it follows another version.
        """
        try:
            verify(before.roster.coordinator, _LABEL, self._signed_hash(), self.signature)
        except InvalidSignatureError:
            raise FaultyCoordinatorError("V-0801", "the amendment is not signed by the project's coordinator") from None
        if (self.before, self.version) != (before.roster.digest(), before.version + 1):
            raise FaultyCoordinatorError("V-0802", f"the amendment does not follow version {before.version}")
        old = before.roster
        return AmendedRoster(self.version, Roster.of(old.project, self.terms, old.coordinator, old.sites), self.terms)

    def _signed_hash(self) -> bytes:
        return tagged_hash("amendment", self.encode()[:-SIGNATURE_BYTES])


def versions(base: AmendedRoster, found: Iterable[Amendment]) -> tuple[AmendedRoster, ...]:
    """Return all versions of a project, oldest first.

    Args:
        base: the version whose roster's words were compared.
        found: amendments in any order; those of another roster are left out.

    Raises:
        FaultyCoordinatorError: V-0801 or V-0802 as in `follow`, V-0803 two amendments follow one version.
    """
    amendments, made = set(found), [base]
    while following := {one for one in amendments if one.before == made[-1].roster.digest()}:
        chain = {one.follow(made[-1]) for one in sorted(following, key=Amendment.encode)}
        if len(chain) > 1:
            raise FaultyCoordinatorError("V-0803", f"the coordinator signed two versions {made[-1].version + 1}")
        made += chain
    return tuple(made)
