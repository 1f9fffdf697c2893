"""Pitfalls 2 and 24: a coordinator that shows different survivors to different sites, with some sites on its side.

Every way to do so is tried. With at most 2t - n - 1 colluders, no site's vector is opened; with one more the attack
succeeds, which proves that this test can detect it.
"""

from collections import Counter
from itertools import combinations, product

import pytest

from secagg.errors import FaultyCoordinatorError
from secagg.messages import Consistency, Quorum, Survivors
from secagg.params import Profile
from secagg.protocol import derivations as d
from secagg.protocol.step import Confirm
from tests.support.party import Parcel, Party, revealed
from tests.support.playbook import at

Set = tuple[int, ...]


class Attack:
    """Honest machines that have sent their uploads, and a coordinator that holds the keys of the last few sites."""

    def __init__(self, n: int, colluders: int, profile: Profile = Profile.MALICIOUS) -> None:
        self.play = at(Survivors, n=n, profile=profile)
        manifest = self.play.state(1).membership.manifest
        self.threshold, self.least = manifest.threshold, manifest.survivors
        self.sites, self.honest = range(1, n + 1), range(1, n - colluders + 1)
        self.signed: dict[tuple[int, Set], tuple[Party, Parcel]] = {}
        self.answers: dict[tuple[int, Set, Set], dict[int, int]] = {}

    def opens_a_site(self) -> bool:
        """Try every choice of what each honest site is shown; say whether both secrets of one come out."""
        for shown in product(*(self.proposals(site) for site in self.honest)):
            known: Counter[tuple[int, int]] = Counter()
            for holder, survivors in zip(self.honest, shown, strict=True):
                if survivors:
                    willing = [site for site in self.honest if shown[site - 1] == survivors]
                    signers = [site for site in (*willing, *self.sites[len(self.honest) :]) if site in survivors]
                    known.update(self.answer(holder, survivors, tuple(signers)).items())
            colluders = len(self.sites) - len(self.honest)  # who hold a share of everything
            for site in self.honest:
                counts = [known[site, kind] + colluders for kind in (d.SEED_SHARE, d.VAULT_SHARE)]
                if min(counts) >= self.threshold:
                    return True
        return False

    def proposals(self, site: int) -> list[Set]:
        """Return all sets that a site could agree to; the empty one stands for showing it nothing."""
        sizes = range(self.least, len(self.sites) + 1)
        return [(), *(one for size in sizes for one in combinations(self.sites, size) if site in one)]

    def answer(self, holder: int, survivors: Set, signers: Set) -> dict[int, int]:
        """Return of which of its two secrets the holder reveals its share, for each site; nothing where it refuses."""
        if (holder, survivors, signers) not in self.answers:
            self.answers[holder, survivors, signers] = self.asked(holder, survivors, signers)
        return self.answers[holder, survivors, signers]

    def asked(self, holder: int, survivors: Set, signers: Set) -> dict[int, int]:
        party, parcel = self.agreed(holder, survivors)
        if parcel.frame.kind == Consistency.KIND:
            party = party.copy()
            try:
                (parcel,) = party.receive(self.quorum(holder, survivors, signers))
            except FaultyCoordinatorError as error:
                assert "V-0512" in str(error)  # noqa: PT017 the one reason that there may be
                return {}
        return revealed(party.past[-1], parcel.frame)

    def agreed(self, site: int, survivors: Set) -> tuple[Party, Parcel]:
        """Let a site agree to a set; return the machine then, and what it sends."""
        if (site, survivors) not in self.signed:
            party = self.play.parties[site].copy()
            uploads = [frame for frame in self.play.listed(Survivors) if frame.sender in survivors]
            party.receive(self.play.forge_list(Survivors, uploads))
            (parcel,) = party.tell(Confirm())
            self.signed[site, survivors] = party, parcel
        return self.signed[site, survivors]

    def quorum(self, holder: int, survivors: Set, signers: Set) -> Parcel:
        """Return a quorum of these sites for a set; the colluders sign whatever is asked of them."""
        _, own = self.agreed(holder, survivors)
        frames = [
            self.agreed(site, survivors)[1].frame
            if site in self.honest
            else self.play.resign(own.frame, own.frame.body, at={"sender": site})
            for site in signers
        ]
        return Parcel(self.play.write(Quorum(signatures=tuple(frames)), self.play.frame(Survivors)))


@pytest.mark.parametrize(("n", "colluders"), [(3, 0), (3, 1), (3, 2), (4, 0), (4, 1), (5, 1), (5, 2), (6, 2), (6, 3)])
def test_no_site_is_opened_below_the_bound(n, colluders):
    attack = Attack(n, colluders)
    assert colluders <= 2 * attack.threshold - n - 1
    assert not attack.opens_a_site()


@pytest.mark.parametrize(("n", "colluders"), [(4, 2), (5, 3), (6, 4)])
def test_the_bound_is_tight(n, colluders):
    attack = Attack(n, colluders)
    assert colluders == 2 * attack.threshold - n
    assert attack.opens_a_site()


@pytest.mark.parametrize(("n", "colluders", "opens"), [(4, 0, False), (4, 1, False), (5, 1, True)])
def test_the_semi_honest_profile_bears_no_colluder(n, colluders, opens):
    """Why it is never called secure against a malicious coordinator: 2t > n bears no colluder beside it."""
    assert Attack(n, colluders, Profile.SEMI_HONEST).opens_a_site() == opens
