"""X25519, Ed25519 and ML-KEM-768 through secagg's own functions: published vectors, and keys that are refused."""

import pytest

from secagg import identity
from secagg.identity import Identity, InvalidSignatureError, verify
from secagg.keys import InvalidKeyError, KeyAgreement, check_curve_key, check_kem_key
from tests.vectors.published import cases, lines

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493

# --- X25519 (RFC 7748) -----------------------------------------------------------------------------------------------

# The u coordinates of the points of small order on Curve25519 and on its twist: orders 1 and 2, 4, 8 twice, 4.
LOW_ORDER = (
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    P - 1,
)


def little(u: int) -> bytes:
    return u.to_bytes(32, "little")


@pytest.mark.parametrize("case", cases("asymmetric/X25519/rfc7748.txt"), ids=lambda c: c["COUNT"])
def test_x25519(case):
    scalar, u, expected = (bytes.fromhex(case[name]) for name in ("INPUT_SCALAR", "INPUT_U", "OUTPUT_U"))
    own = KeyAgreement(scalar)
    if u[31] & 0x80:  # RFC 7748 masks this bit; ours refuses what has two encodings
        with pytest.raises(InvalidKeyError):
            own.exchange(u)
        u = u[:31] + bytes([u[31] & 0x7F])
    assert own.exchange(u) == expected


def test_x25519_a_thousand_times():
    k = u = little(9)
    for _ in range(1000):
        result = KeyAgreement(k).exchange(little(int.from_bytes(u, "little") % 2**255))
        k, u = result, k
    assert k.hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


def test_x25519_between_alice_and_bob():
    alice = KeyAgreement(bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
    bob = KeyAgreement(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    assert alice.curve_public.hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    shared = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    assert alice.exchange(bob.curve_public) == bob.exchange(alice.curve_public) == shared


@pytest.mark.parametrize("u", LOW_ORDER)
def test_curve_keys_of_low_order_are_refused(u):
    """Recipe 22."""
    with pytest.raises(InvalidKeyError, match="low order"):
        check_curve_key(little(u))
    with pytest.raises(InvalidKeyError, match="low order"):
        KeyAgreement(bytes(range(32))).exchange(little(u))


@pytest.mark.parametrize("u", [*range(P, 2**255), *(u + 2**255 for u in (*LOW_ORDER, 9, P - 2, P, 2**255 - 1))])
def test_curve_keys_that_are_not_canonical_are_refused(u):
    """Recipe 22."""
    with pytest.raises(InvalidKeyError, match="canonical"):
        check_curve_key(little(u))
    with pytest.raises(InvalidKeyError, match="canonical"):
        KeyAgreement(bytes(range(32))).exchange(little(u))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_curve_keys_of_another_length_are_refused(length):
    with pytest.raises(InvalidKeyError):
        check_curve_key(bytes([9]) * length)


# --- Ed25519 (RFC 8032) ----------------------------------------------------------------------------------------------

# Encodings of points of small order: y = 0, 1, -1 and the two of order 8, with either sign of x, also not reduced.
ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7
SMALL_ORDER = [y + sign for y in (0, 1, P - 1, P, P + 1, ORDER_8, P - ORDER_8) for sign in (0, 2**255)]


@pytest.fixture
def bare(monkeypatch):
    """Without the label before the message, which no published vector has."""
    monkeypatch.setattr(identity, "tag", lambda _label: b"")


@pytest.mark.usefixtures("bare")
def test_ed25519():
    found = [line.split(":") for line in lines("asymmetric/Ed25519/sign.input")]
    assert len(found) == 1024
    for secret, public, message, signed in ((bytes.fromhex(part) for part in row[:4]) for row in found):
        own, signature = Identity(secret[:32]), signed[:64]
        assert (own.public, own.sign("", message)) == (public, signature)
        verify(public, "", message, signature)
        with pytest.raises(InvalidSignatureError):
            verify(public, "", message + b"\0", signature)


def signed() -> tuple[bytes, bytes]:
    own = Identity(bytes(32))
    return own.public, own.sign("label", b"message")


def refused(public: bytes, signature: bytes) -> None:
    with pytest.raises(InvalidSignatureError):
        verify(public, "label", b"message", signature)


def test_signatures_are_for_one_label():
    public, signature = signed()
    verify(public, "label", b"message", signature)
    with pytest.raises(InvalidSignatureError):
        verify(public, "another", b"message", signature)


@pytest.mark.parametrize("multiple", range(1, 16))
def test_an_unreduced_s_is_refused(multiple):
    """Recipe 22: S + k L satisfies the same equation; only the reduced one is a signature."""
    public, signature = signed()
    s = int.from_bytes(signature[32:], "little") + multiple * L
    if s < 2**256:
        refused(public, signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("y", SMALL_ORDER)
def test_keys_of_small_order_are_refused(y):
    """Recipe 22: with S = 0 and R a point of small order, the equation can hold for any message."""
    for r in SMALL_ORDER:
        refused(little(y), little(r) + bytes(32))


@pytest.mark.parametrize("y", SMALL_ORDER)
def test_commitments_of_small_order_are_refused(y):
    public, signature = signed()
    refused(public, little(y) + signature[32:])


@pytest.mark.parametrize("y", [*range(P, 2**255), *range(P + 2**255, 2**256)])
def test_keys_that_are_not_canonical_are_refused(y):
    _, signature = signed()
    refused(little(y), signature)
    refused(little(y), little(1) + bytes(32))


@pytest.mark.parametrize(("key_bytes", "signature_bytes"), [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0)])
def test_other_lengths_are_refused(key_bytes, signature_bytes):
    public, signature = signed()
    refused((public + b"\0")[:key_bytes], (signature + b"\0")[:signature_bytes])


def test_every_flipped_bit_is_refused():
    public, signature = signed()
    for bit in range(512):
        refused(public, (int.from_bytes(signature, "big") ^ (1 << bit)).to_bytes(64, "big"))


# --- ML-KEM-768 (FIPS 203) -------------------------------------------------------------------------------------------


def test_ml_kem_768():
    found = cases("asymmetric/MLKEM/kat_MLKEM_768.rsp")
    assert len(found) == 1000
    for case in found[::10]:
        d, z, pk, ct, ss, ct_n, ss_n = (
            bytes.fromhex(case[name]) for name in ("d", "z", "pk", "ct", "ss", "ct_n", "ss_n")
        )
        own = KeyAgreement(bytes(range(32)), d + z)
        assert own.kem_public == pk
        check_kem_key(pk)
        assert own.decapsulate(ct) == ss
        assert own.decapsulate(ct_n) == ss_n  # a wrong ciphertext: implicit rejection


def unreduced(public: bytes, position: int) -> bytes:
    """The key with one of its 768 coefficients, 12 bits each, raised by q = 3329, which leaves it the same mod q."""
    bits = int.from_bytes(public[:1152], "little")
    coefficient = bits >> (12 * position) & 0xFFF
    assert coefficient + 3329 < 4096, "this one has no second encoding"
    return (bits + (3329 << (12 * position))).to_bytes(1152, "little") + public[1152:]


def test_kem_keys_that_are_not_reduced_are_refused():
    """Recipe 22."""
    public = KeyAgreement(bytes(range(32)), bytes(range(64))).kem_public
    bits = int.from_bytes(public[:1152], "little")
    small = [i for i in range(768) if (bits >> (12 * i) & 0xFFF) < 4096 - 3329]
    assert len(small) > 100
    for position in small:
        with pytest.raises(InvalidKeyError):
            check_kem_key(unreduced(public, position))


@pytest.mark.parametrize("length", [0, 1183, 1185])
def test_kem_keys_of_another_length_are_refused(length):
    with pytest.raises(InvalidKeyError):
        check_kem_key(bytes(length))


@pytest.mark.parametrize("length", [0, 1087, 1089])
def test_kem_ciphertexts_of_another_length_are_refused(length):
    with pytest.raises(InvalidKeyError):
        KeyAgreement(bytes(range(32)), bytes(64)).decapsulate(bytes(length))
