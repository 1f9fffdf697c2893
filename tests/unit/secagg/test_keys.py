"""Keys: refusals, the inputs of a derived key, and everything that a seal binds together."""

import pytest

from secagg import keys
from secagg.keys import InvalidKeyError, KeyAgreement, UnsealError, check_curve_key, check_kem_key, derive, seal, unseal

EPOCH = b"e" * 32
P = 2**255 - 19
LOW_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    P - 1,
]


def site(number: int) -> KeyAgreement:
    return KeyAgreement(bytes([number]) * 32, bytes([number]) * 64)


@pytest.mark.parametrize("point", LOW_ORDER)
def test_points_of_low_order_are_refused(point):
    """All points of order 1, 2, 4 and 8 on the curve and its twist."""
    public = point.to_bytes(32, "little")
    for refuse in (check_curve_key, site(1).exchange):
        with pytest.raises(InvalidKeyError):
            refuse(public)


@pytest.mark.parametrize("point", [P, P + 1, P + 9, 2**255 - 1, 2**255, 2**255 + 9, 2**256 - 1])
def test_encodings_that_would_be_reduced_are_refused(point):
    for refuse in (check_curve_key, site(1).exchange):
        with pytest.raises(InvalidKeyError):
            refuse(point.to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_curve_keys_of_another_length_are_refused(size):
    with pytest.raises(InvalidKeyError):
        check_curve_key(b"\x09" * size)


@pytest.mark.parametrize("number", range(1, 20))
def test_honest_keys_are_accepted(number):
    check_curve_key(site(number).curve_public)
    check_kem_key(site(number).kem_public)


def test_both_ends_agree():
    one, two = site(1), site(2)
    assert one.exchange(two.curve_public) == two.exchange(one.curve_public)
    ciphertext, secret = keys.encapsulate(two.kem_public)
    assert (len(ciphertext), len(secret)) == (keys.KEM_CIPHERTEXT_BYTES, 32)
    assert two.decapsulate(ciphertext) == secret


def test_a_wrong_ciphertext_gives_another_secret():
    """Implicit rejection: nobody learns that it was wrong until a commitment differs (pitfall 23)."""
    ciphertext, secret = keys.encapsulate(site(2).kem_public)
    changed = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    assert site(2).decapsulate(changed) not in {secret, site(1).decapsulate(ciphertext)}
    assert site(2).decapsulate(changed) == site(2).decapsulate(changed)


@pytest.mark.parametrize("size", [0, 1087, 1089])
def test_ciphertexts_of_another_length_are_refused(size):
    with pytest.raises(InvalidKeyError):
        site(1).decapsulate(bytes(size))


def test_the_coordinator_has_no_kem_key():
    coordinator = KeyAgreement(b"c" * 32)
    assert coordinator.kem_public == b""
    with pytest.raises(InvalidKeyError):
        coordinator.decapsulate(bytes(1088))


NOT_REDUCED = b"\x01\x0d" + site(1).kem_public[2:]  # the first coefficient is 0xd01 = q


@pytest.mark.parametrize("public", [b"", bytes(1183), bytes(1185), b"\xff" * 1184, NOT_REDUCED])
def test_kem_keys_that_are_not_reduced_are_refused(public):
    """FIPS 203, section 7.2."""
    with pytest.raises(InvalidKeyError):
        check_kem_key(public)


def pair(**changes) -> bytes:
    inputs = {
        "curve_secret": b"x" * 32,
        "kem_secret": b"s" * 32,
        "epoch": EPOCH,
        "low": (1, b"l" * 32),
        "high": (2, b"h" * 32),
        "high_kem_public": b"k" * 1184,
        "ciphertext": b"c" * 1088,
    } | changes
    return keys.pair_secret(inputs.pop("curve_secret"), inputs.pop("kem_secret"), **inputs)


@pytest.mark.parametrize(
    "change",
    [
        {"curve_secret": b"y" * 32},
        {"kem_secret": b"t" * 32},
        {"epoch": b"f" * 32},
        {"low": (3, b"l" * 32)},
        {"low": (1, b"m" * 32)},
        {"high": (3, b"h" * 32)},
        {"high": (2, b"i" * 32)},
        {"high_kem_public": b"j" * 1184},
        {"ciphertext": b"d" * 1088},
    ],
)
def test_a_pair_secret_depends_on_everything(change):
    assert pair(**change) != pair()
    assert len(pair()) == 32


@pytest.mark.parametrize(
    "other",
    [
        derive(b"k" * 32, "other", b"a", b"b", epoch=EPOCH),
        derive(b"K" * 32, "label", b"a", b"b", epoch=EPOCH),
        derive(b"k" * 32, "label", b"ab", epoch=EPOCH),
        derive(b"k" * 32, "label", b"a", b"b", b"", epoch=EPOCH),
        derive(b"k" * 32, "label", b"a", b"b", epoch=bytes(32)),
    ],
)
def test_a_derived_key_depends_on_everything(other):
    assert derive(b"k" * 32, "label", b"a", b"b", epoch=EPOCH) != other


def test_a_seal_opens_once_everything_is_right():
    sealed = seal(b"k" * 32, b"content", b"about", number=3)
    assert len(sealed) == len(b"content") + keys.TAG_BYTES
    assert unseal(b"k" * 32, sealed, b"about", number=3) == b"content"
    for key, data, about, number in (
        (b"j" * 32, sealed, b"about", 3),
        (b"k" * 32, sealed, b"abouT", 3),
        (b"k" * 32, sealed, b"about", 4),
        (b"k" * 32, sealed[:-1], b"about", 3),
        (b"k" * 32, sealed + b"\0", b"about", 3),
        (b"k" * 32, bytes([sealed[0] ^ 1]) + sealed[1:], b"about", 3),
        (b"k" * 32, sealed[:15], b"about", 3),
        (b"k" * 32, b"", b"about", 3),
    ):
        with pytest.raises(UnsealError) as caught:
            unseal(key, data, about, number=number)
        assert str(caught.value) == ""


def test_nothing_can_be_sealed():
    assert unseal(b"k" * 32, seal(b"k" * 32, b"", b""), b"") == b""
