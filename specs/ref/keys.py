"""Key derivation, chains, sealing, identities, pair secrets.

Spec: 01-wire §3, 02-protocol §3.
"""

import hashlib
import hmac

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from specs.ref.hashes import LP, Refused, check, tag, u8, u16, u32

P25519 = 2**255 - 19
# The y coordinates of the eight points of small order on Edwards25519: orders 4, 1, 2, and 8 twice.
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7
_SMALL_ORDER_Y = {0, 1, P25519 - 1, _ORDER_8, P25519 - _ORDER_8}


def hkdf(ikm: bytes, salt: bytes, info: bytes, length: int = 32) -> bytes:
    """RFC 5869 with SHA-256."""
    key, block, out = hmac.digest(salt, ikm, "sha256"), b"", b""
    while len(out) < length:
        block = hmac.digest(key, block + info + bytes([len(out) // 32 + 1]), "sha256")
        out += block
    return out[:length]


def kdf(eh: bytes, key: bytes, label: str, *fields: bytes) -> bytes:
    return hkdf(key, eh, tag(label) + LP(*fields))


def draw(rand: bytes, name: str) -> bytes:
    return kdf(bytes(32), rand, "draw", name.encode("ascii"))


def seal(key: bytes, message: bytes, ad: bytes, nonce: int = 0) -> bytes:
    return AESGCM(key).encrypt(nonce.to_bytes(12, "big"), message, ad)


def unseal(key: bytes, sealed: bytes, ad: bytes, rule: str, nonce: int = 0) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce.to_bytes(12, "big"), sealed, ad)
    except (InvalidTag, ValueError):  # ValueError: shorter than a tag
        raise Refused(rule) from None


def keystream(key: bytes, length: int, block: int = 0) -> bytes:
    """AES-256-CTR from this counter block on, zero by default."""
    return Cipher(algorithms.AES(key), modes.CTR(block.to_bytes(16, "big"))).encryptor().update(bytes(length))


# --- identities ------------------------------------------------------------------------------------------------------


def public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed: bytes, label: str, message: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).sign(tag(label) + message)


def verify(key: bytes, label: str, message: bytes, signature: bytes, rule: str) -> None:
    for point in (key, signature[:32]):
        y = int.from_bytes(point, "little") % 2**255
        check(y < P25519 and y not in _SMALL_ORDER_Y, rule)
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, tag(label) + message)
    except (InvalidSignature, ValueError):
        raise Refused(rule) from None


def stretched(digest: bytes) -> bytes:
    """The 16 bytes whose BIP 39 mnemonic people compare."""
    return hashlib.scrypt(digest, salt=tag("words"), n=2**14, r=8, p=1, dklen=16)


# --- pair secrets ----------------------------------------------------------------------------------------------------


def curve_public(secret: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def exchange(secret: bytes, peer: bytes, rule: str) -> bytes:
    check(int.from_bytes(peer, "little") < P25519, rule)
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError:  # the result is zero: a low-order key
        raise Refused(rule) from None


def kem_public(seed: bytes) -> bytes:
    return MLKEM768PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()


def decapsulate(seed: bytes, ciphertext: bytes) -> bytes:
    return MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(ciphertext)


def pair_secret(
    eh: bytes, u: int, v: int, x: bytes, ss: bytes, curve_u: bytes, curve_v: bytes, kem_v: bytes, ct: bytes
) -> bytes:
    """P_uv of u < v, where u encapsulated to v."""
    return kdf(eh, x + ss, "pair", u16(u), u16(v), curve_u, curve_v, kem_v, ct)


# --- the table of 02 §3 ----------------------------------------------------------------------------------------------


def share_key(eh: bytes, pair: bytes, u: int, v: int) -> bytes:
    return kdf(eh, pair, "share-channel", u16(u), u16(v))


def chain_start(eh: bytes, pair: bytes, name: str) -> bytes:
    """`name` is "pair" or "channel"."""
    return kdf(eh, pair, f"{name}-chain")


def ratchet(eh: bytes, key: bytes, name: str, r: int) -> bytes:
    """`name` is "pair", "self" or "channel"; from round r to r + 1."""
    return kdf(eh, key, f"{name}-ratchet", u32(r))


def pair_seed(eh: bytes, chain: bytes, r: int) -> bytes:
    return kdf(eh, chain, "pair-seed", u32(r))


def self_seed(eh: bytes, chain: bytes, u: int, r: int) -> bytes:
    return kdf(eh, chain, "self-seed", u16(u), u32(r))


def vault_secret(eh: bytes, random: bytes, u: int, r: int) -> bytes:
    return kdf(eh, random, "vault-secret", u16(u), u32(r))


def vault_key(eh: bytes, secret: bytes, u: int, r: int) -> bytes:
    return kdf(eh, secret, "vault-key", u16(u), u32(r))


def channel_key(eh: bytes, chain: bytes, r: int, kind: int) -> bytes:
    return kdf(eh, chain, "channel-key", u32(r), u8(kind))


def pair_mask(eh: bytes, seed: bytes, r: int, u: int, v: int, ctx: bytes) -> bytes:
    return kdf(eh, seed, "pair-mask", u32(r), u16(min(u, v)), u16(max(u, v)), ctx)


def self_mask(eh: bytes, seed: bytes, r: int, u: int, ctx: bytes) -> bytes:
    return kdf(eh, seed, "self-mask", u32(r), u16(u), ctx)


def lane_session(eh: bytes, kappas: list[bytes]) -> bytes:
    return kdf(eh, b"".join(kappas), "mac-session")


def lane_key(eh: bytes, session: bytes, r: int, ctx: bytes, lane: int) -> bytes:
    return kdf(eh, session, "mac", u32(r), ctx, u16(lane))
