"""AES-256-CTR, AES-256-GCM and HKDF-SHA256 through secagg's own functions, on published vectors."""

import hmac

import numpy as np
import pytest

from secagg import keys
from secagg.codec import prefixed, tag
from secagg.keys import UnsealError
from secagg.masks import add_keystream
from tests.vectors.published import cases

# SP 800-38A, F.5.5: key, initial counter block, output blocks.
SP_800_38A = {
    "KEY": "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
    "IV": "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
    "PLAINTEXT": "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    "CIPHERTEXT": "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
}


@pytest.mark.parametrize("case", [SP_800_38A, *cases("ciphers/AES/CTR/aes-256-ctr.txt")], ids=lambda c: c["IV"])
@pytest.mark.parametrize("width", [4, 8])
def test_aes_256_ctr(case, width):
    plain, cipher = (np.frombuffer(bytes.fromhex(case[name]), np.uint8) for name in ("PLAINTEXT", "CIPHERTEXT"))
    expected = (plain ^ cipher).tobytes()[: len(plain) // width * width]
    acc = np.zeros(len(expected) // width, f"u{width}")
    add_keystream(acc, bytes.fromhex(case["KEY"]), start=int(case["IV"], 16) * 16 // width)
    assert acc.astype(f"<u{width}").tobytes() == expected


def gcm(name: str) -> list[dict[str, bytes]]:
    """The cases with nonces and tags of our lengths."""
    kept = (c for c in cases(name) if (c["IVlen"], c["Taglen"]) == ("96", "128"))
    fields = ("Key", "IV", "CT", "AAD", "Tag")
    return [
        {name: bytes.fromhex(c[name]) for name in fields} | {"PT": bytes.fromhex(c.get("PT", "")), "fails": "FAIL" in c}
        for c in kept
    ]


def test_aes_256_gcm_seals():
    found = gcm("ciphers/AES/GCM/gcmEncryptExtIV256.rsp")
    assert len(found) == 375
    for c in found:
        assert keys.seal(c["Key"], c["PT"], c["AAD"], number=int.from_bytes(c["IV"], "big")) == c["CT"] + c["Tag"]


def test_aes_256_gcm_opens_or_refuses():
    found = gcm("ciphers/AES/GCM/gcmDecrypt256.rsp")
    assert {c["fails"] for c in found} == {True, False}
    for c in found:
        number = int.from_bytes(c["IV"], "big")
        if c["fails"]:
            with pytest.raises(UnsealError):
                keys.unseal(c["Key"], c["CT"] + c["Tag"], c["AAD"], number=number)
        else:
            assert keys.unseal(c["Key"], c["CT"] + c["Tag"], c["AAD"], number=number) == c["PT"]


def hkdf(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 out of HMAC alone, since ours fixes the form of info."""
    key, block, out = hmac.digest(salt, ikm, "sha256"), b"", b""
    for i in range(1, -(-length // 32) + 1):
        block = hmac.digest(key, block + info + bytes([i]), "sha256")
        out += block
    return out[:length]


@pytest.mark.parametrize("case", cases("KDF/rfc-5869-HKDF-SHA256.txt"), ids=lambda c: c["COUNT"])
def test_hkdf_by_hand_is_rfc_5869(case):
    ikm, salt, info = (bytes.fromhex(case[name]) for name in ("IKM", "salt", "info"))
    assert hkdf(ikm, salt, info, int(case["L"])) == bytes.fromhex(case["OKM"])


@pytest.mark.parametrize("salt", [bytes(32), bytes(range(32)), b"\xff" * 32])
def test_ours_is_hkdf_with_a_tagged_info(salt):
    for parts in ([], [b""], [b"one", bytes(1088)]):
        info = tag("pair") + prefixed(*parts)
        assert keys.derive(b"secret", "pair", *parts, epoch=salt) == hkdf(b"secret", salt, info, 32)
