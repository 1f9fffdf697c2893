"""Does the coordinator need memory for one vector, or for every site's?

A coordinator in a process of its own takes all uploads of a round through the protocol's own steps, removes masks and
publishes the sum; this process plays the sites. Signatures, seals, digests and packing are real; the epoch's setup is
skipped, and the vectors are zero, since their content makes no difference.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import Row
from bench.workers.epoch import ROUND, Epoch
from bench.workers.pipe import Worker
from secagg import envelope
from secagg.messages import Upload
from secagg.protocol import derivations
from secagg.protocol.ring_vector import RingVector, seal_vector

LIMIT = 200 * 10**6


def rows() -> list[Row]:
    return [*measured(n=1000, d=10**6)]


def measured(*, n: int, d: int) -> Iterator[Row]:
    epoch = Epoch(n, d)
    with Worker("coordinator") as coordinator, TemporaryDirectory() as folder:
        idle = coordinator("prepare", n=n, d=d)
        coordinator("keep_packages", path=str(Path(folder) / "journal"))
        context = bytes.fromhex(coordinator("open"))
        vector = RingVector.zeros(epoch.schema)
        for site in range(1, n + 1):
            coordinator("take", **_upload(epoch, site, vector, context, Path(folder) / "payload"))
        peak = coordinator("finish")
    words = f"{(peak - idle) / 1e6:.0f} MB (all vectors side by side: {4 * n * d / 1e6:,.0f} MB)"
    yield Row(
        f"coordinator's peak memory in a round above idle, n = {n:,}, d = {d:,}, {n:,} uploads, "
        "the epoch's packages in its journal on disk",
        "<= 200 MB",
        words,
        peak - idle <= LIMIT,
        {"bytes": peak - idle},
    )


def _upload(epoch: Epoch, site: int, vector: RingVector, context: bytes, path: Path) -> dict[str, str]:
    """Seal and sign a site's vector; return the frame and the file that contains its payload."""
    prepared = epoch.prepared
    bound = derivations.vector_bound(prepared.epoch, Upload.KIND, site, ROUND, context)
    key = derivations.channel_key(epoch.chain(site), ROUND, Upload.KIND, prepared.epoch)
    sealed = seal_vector(vector, key, bound)
    path.write_bytes(b"".join(sealed.chunks))
    frame = envelope.sign(
        epoch.sites[site - 1],
        Upload(context=context, root=sealed.root).encode(),
        kind=Upload.KIND,
        epoch=prepared.epoch,
        transcript=prepared.transcript,
        round_=ROUND,
        sender=site,
        recipient=envelope.COORDINATOR,
    )
    return {"frame": frame.encode().hex(), "payload": str(path)}
