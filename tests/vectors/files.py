"""The test vectors of version 1 as Python values; bytes are hex in the files, and stay so until a test decodes them."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "specs" / "vectors" / "v1"


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def unhex(value: Any) -> Any:
    """The value with every string read as hex."""
    if isinstance(value, str):
        return bytes.fromhex(value)
    if isinstance(value, list):
        return [unhex(item) for item in value]
    if isinstance(value, dict):
        return {key: unhex(item) for key, item in value.items()}
    return value
