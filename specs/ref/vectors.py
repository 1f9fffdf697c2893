"""Writes the vectors: JSON, bytes as lower-case hex.

`python -m specs.generate` calls `write`. The output is always the same: all secrets are derived from names. Only ML-
KEM's encapsulations cannot be reproduced from a seed, so `encapsulations.json` is read if it exists; an entry that is
missing, or made for another key, is drawn again.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey

from specs.ref import cases, samples, scripts
from specs.ref.play import play
from specs.ref.setup import Encapsulation

_KEPT = "encapsulations"


def write(folder: Path) -> None:
    """Write all files of one version to its folder."""
    kept = Encapsulations(folder / f"{_KEPT}.json")
    runs = {name: play(plan, kept.draw) for name, plan in scripts.PLANS.items()}
    files: dict[str, Any] = {
        "codec": samples.valid(),
        "kdf": cases.derivations(),
        "hashes": cases.hashes(),
        "merkle": cases.merkle(),
        "graphs": cases.graphs(),
        "masks": cases.masks(),
        "packing": cases.packing(),
        "quantise": cases.quantisation(),
        "rotation": cases.rotation(),
        "lanes": cases.lanes(),
        "shamir": cases.sharing(),
        "words": cases.words(),
        "sealing": cases.sealing(),
        _KEPT: kept.used,
    }
    for name, (script, tape) in runs.items():
        files[f"round-{name}"] = script
        files[f"refusals-{name}"] = scripts.refusals(tape)
    files |= {f"refused/{fault}": found for fault, found in samples.faulty().items()}
    (folder / "refused").mkdir(parents=True, exist_ok=True)
    for path in (folder / "refused").iterdir():  # named after their faults: stale ones must go
        path.unlink()
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(plain(content), indent=1) + "\n", encoding="ascii")


class Encapsulations:
    """Encapsulations that were drawn once, by name."""

    def __init__(self, path: Path) -> None:
        self._kept = json.loads(path.read_text()) if path.exists() else {}
        self.used: dict[str, dict[str, bytes]] = {}

    def draw(self, name: str, key: bytes) -> Encapsulation:
        kept = {field: bytes.fromhex(text) for field, text in self._kept.get(name, {}).items()}
        if kept.get("key") != key:
            secret, ciphertext = MLKEM768PublicKey.from_public_bytes(key).encapsulate()
            kept = {"key": key, "ciphertext": ciphertext, "secret": secret}
        self.used[name] = kept
        return kept["ciphertext"], kept["secret"]


def plain(value: Any) -> Any:
    """The value with its bytes as hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
