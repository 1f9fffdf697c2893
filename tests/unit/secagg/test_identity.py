"""Identities, signatures under a label, and the words by which people compare a roster."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from mnemonic import Mnemonic
from nacl.public import SealedBox
from nacl.signing import VerifyKey

from secagg.codec import tag
from secagg.errors import ParameterError
from secagg.identity import Identity, InvalidSignatureError, Roster, SealError, fingerprint, key_words, verify

ONE, TWO, THREE = (Identity(bytes([i]) * 32) for i in (1, 2, 3))
HEAD = Identity(b"h" * 32)
ORDER = 2**252 + 27742317777372353535851937790883648493


def roster(**changes) -> Roster:
    fields = {"project": b"p" * 16, "terms": b"terms", "coordinator": HEAD.public, "sites": [ONE.public, TWO.public]}
    return Roster.of(**(fields | changes))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_has_32_bytes(size):
    with pytest.raises(ParameterError):
        Identity(bytes(size))


def test_a_signature_holds_for_its_key_label_and_message():
    signature = ONE.sign("frame", b"message")
    verify(ONE.public, "frame", b"message", signature)
    for public, label, message in (
        (TWO.public, "frame", b"message"),
        (ONE.public, "frames", b"message"),
        (ONE.public, "fram", b"emessage"),
        (ONE.public, "frame", b"message "),
    ):
        with pytest.raises(InvalidSignatureError):
            verify(public, label, message, signature)


def test_a_signature_covers_the_label_first():
    assert ONE.sign("a", b"b") == ONE._key.sign(tag("a") + b"b").signature


@pytest.mark.parametrize("at", [0, 31, 32, 63])
def test_a_changed_signature_is_none(at):
    signature = bytearray(ONE.sign("frame", b"message"))
    signature[at] ^= 1
    with pytest.raises(InvalidSignatureError):
        verify(ONE.public, "frame", b"message", bytes(signature))


def test_signatures_are_not_malleable():
    """s + l is the same point equation; libsodium takes the smaller one alone."""
    signature = ONE.sign("frame", b"message")
    larger = int.from_bytes(signature[32:], "little") + ORDER
    with pytest.raises(InvalidSignatureError):
        verify(ONE.public, "frame", b"message", signature[:32] + larger.to_bytes(32, "little"))


@pytest.mark.parametrize(
    "public",
    [
        bytes(32),
        b"\1" + bytes(31),
        bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        b"\xff" * 32,
        b"",
        b"short",
    ],
    ids=["order 4", "neutral", "order 2", "order 8", "not canonical", "no point", "empty", "short"],
)
def test_weak_keys_verify_nothing(public):
    """Under a key of small order, some signature would fit every message."""
    neutral = (1).to_bytes(32, "little") + bytes(32)
    with pytest.raises(InvalidSignatureError):
        verify(public, "frame", b"message", neutral)


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65)])
def test_signatures_of_another_length_are_none(signature):
    with pytest.raises(InvalidSignatureError):
        verify(ONE.public, "frame", b"message", signature)


def test_names_of_a_key():
    assert len(fingerprint(ONE.public)) == 16
    assert len(key_words(ONE.public).split()) == 12
    assert len({fingerprint(one.public) for one in (ONE, TWO, HEAD)}) == 3
    assert key_words(ONE.public) != key_words(TWO.public)
    assert repr(ONE) == f"Identity({fingerprint(ONE.public)})"


def test_a_roster_has_one_form_whatever_the_order():
    first, second = roster(), roster(sites=[TWO.public, ONE.public])
    assert first == second
    assert first.words() == second.words()
    assert Roster.decode(first.encode()) == first


@pytest.mark.parametrize(
    "changes",
    [
        {"sites": [ONE.public, ONE.public]},
        {"sites": [ONE.public, HEAD.public]},
        {"coordinator": ONE.public},
    ],
    ids=["twice", "coordinator among the sites", "site as coordinator"],
)
def test_a_key_stands_once_in_a_roster(changes):
    with pytest.raises(ParameterError):
        roster(**changes)


def test_the_words_depend_on_everything():
    others = [
        roster(),
        roster(project=b"q" * 16),
        roster(terms=b"other terms"),
        roster(coordinator=THREE.public),
        roster(sites=[ONE.public]),
        roster(sites=[ONE.public, THREE.public]),
        roster(sites=[ONE.public, TWO.public, THREE.public]),
    ]
    assert len({one.words() for one in others}) == len(others)


def test_words_as_people_type_them():
    words = roster().words()
    assert len(words.split()) == 12
    roster().confirm(words)
    roster().confirm(f"  {words.upper()}\n")
    roster().confirm(words.replace(" ", "   "))

    roster().confirm(words.replace(" ", ", "))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "0 words were typed, and there are 12"),
        ("abandon", "1 words were typed"),
        ("abandon " * 12, "several are mistyped, or they are not this roster's"),
        ("zoo " * 5000, "5000 words were typed"),
        ("ÄÖÜ 你好 \0 " * 4, "mistyped: 'äöü', '你好', '.x00'"),
    ],
)
def test_words_that_are_mistyped(typed, said):
    with pytest.raises(ParameterError, match=said):
        roster().confirm(typed)


def test_a_wrong_word_is_named_with_its_place():
    others = roster().words().split()[1:]
    wrong = next(word for word in ("zebra", "zero", "zone") if not valid([word, *others]))
    with pytest.raises(ParameterError, match=rf"word 1 \({wrong}\) was misheard"):
        roster().confirm(" ".join([wrong, *others]))
    with pytest.raises(ParameterError, match="mistyped: 'zebrra' cannot be among the words"):
        roster().confirm(" ".join(["zebrra", *others]))


def test_swapped_words_are_named():
    first, second, *others = roster().words().split()
    assert not valid([second, first, *others])
    with pytest.raises(ParameterError, match=rf"word 1 \({second}\) and word 2 \({first}\)"):
        roster().confirm(" ".join([second, first, *others]))


def valid(words):
    return Mnemonic("english").check(" ".join(words))


def test_words_of_another_roster():
    """Valid words that are not this roster's: somebody was added, removed or replaced."""
    other = roster(sites=[ONE.public, TWO.public, THREE.public])
    with pytest.raises(ParameterError, match="do not match this roster"):
        roster().confirm(other.words())


@pytest.mark.parametrize("base", [b"", b"secagg/1 frame\0" + bytes(32), b"@method", b' "@method"'])
def test_a_request_s_signature_is_none_for_anything_else(base):
    """The same key signs frames and requests; what one signature covers is never what another one does."""
    with pytest.raises(ParameterError, match="not the signature base"):
        Identity(bytes(32)).sign_request(base)


def test_an_identity_shows_its_fingerprint_and_no_key():
    own = Identity(bytes(range(32)))
    assert repr(own) == f"Identity({fingerprint(own.public)})"


def test_a_request_is_signed_as_it_is():
    base = b'"@method": POST\n"@path": /v1/runs'
    own = Identity(bytes(range(32)))
    Ed25519PublicKey.from_public_bytes(own.public).verify(own.sign_request(base), base)


def test_a_sealed_box_opens_for_its_identity_alone():
    sealed = SealedBox(VerifyKey(ONE.public).to_curve25519_public_key()).encrypt(b"letter")
    assert ONE.unseal(sealed) == b"letter"
    changed = bytes([sealed[0] ^ 1]) + sealed[1:]
    for identity, box in ((TWO, sealed), (ONE, changed), (ONE, sealed[:-1]), (ONE, b"")):
        with pytest.raises(SealError):
            identity.unseal(box)


def test_a_secret_follows_from_identity_and_label_and_is_neither_the_seed_nor_another_s():
    secrets = {ONE.secret("checkpoints"), ONE.secret("another"), TWO.secret("checkpoints"), bytes([1]) * 32}
    assert len(secrets) == 4
    assert ONE.secret("checkpoints") == Identity(bytes([1]) * 32).secret("checkpoints")
    assert len(ONE.secret("checkpoints")) == 32
