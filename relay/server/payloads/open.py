"""Opens the payload store: the one place that knows which stores exist."""

from relay.server.core.config import RelayConfig
from relay.server.payloads.folder import BlobFolder
from relay.server.payloads.payload_store import Blobs
from relay.service.folders import private_folder


def open_blobs(config: RelayConfig) -> Blobs:
    """Return the store that the settings select."""
    if config.objects is not None:
        from relay.server.payloads.objects import BlobObjects  # noqa: PLC0415  # loads its library only if used

        return BlobObjects(config.objects)
    return BlobFolder(private_folder(config.data) / "blobs")
