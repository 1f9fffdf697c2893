"""Opens the store of payloads: the one place that knows which stores there are."""

from relay.server.core.config import RelayConfig
from relay.server.payloads.payload_store import Blobs
from relay.service.folders import private_folder


def open_blobs(config: RelayConfig) -> Blobs:
    """Return the store that the settings name."""
    if config.objects is not None:
        from relay.server.payloads.objects import BlobObjects  # noqa: PLC0415  # its library only where it is used

        return BlobObjects(config.objects)
    from relay.server.payloads.folder import BlobFolder  # noqa: PLC0415

    return BlobFolder(private_folder(config.data) / "blobs")
