"""Opens and closes fields of records whose wire type stores other records as bytes."""

from typing import Any

from secagg.codec import Encoded, Map, Record, Wire, layout


def opened(record: Record, name: str) -> Any:
    """Return a field, with records decoded from their bytes."""
    wire, value = _wire(record, name), getattr(record, name)
    if isinstance(wire, Encoded):
        return wire.kind.decode(value)
    if isinstance(wire, Map) and isinstance(wire.item, Encoded):
        return {key: wire.item.kind.decode(item) for key, item in value.items()}
    return value


def closed(record: Record, name: str, value: Any) -> Any:
    """Return a field's value, with records encoded as bytes again."""
    wire = _wire(record, name)
    if isinstance(wire, Encoded):
        return value.encode()
    if isinstance(wire, Map) and isinstance(wire.item, Encoded):
        return {key: item.encode() for key, item in value.items()}
    return value


def _wire(record: Record, name: str) -> Wire[Any]:
    return dict(layout(type(record)))[name]
