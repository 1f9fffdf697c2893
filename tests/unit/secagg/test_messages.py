"""Which messages are one frame for everyone: the more must be hidden from a site, the fewer they are."""

from secagg.messages import MESSAGES, Cohort, Manifest, Quorum, Ready, Survivors
from tests.support.playbook import at


def test_what_is_shared_on_the_complete_graph():
    manifest = at(Manifest).message(Manifest)
    assert {kind for kind in MESSAGES.values() if manifest.is_shared(kind)} == {
        Manifest,
        Cohort,
        Ready,
        Survivors,
        Quorum,
    }


def test_what_is_shared_on_a_sparse_graph():
    manifest = at(Manifest, n=9, degree=6, threshold=5, colluders=2, survivors=6).message(Manifest)
    assert {kind for kind in MESSAGES.values() if manifest.is_shared(kind)} == {Manifest}
