"""Recovery: the masks that are left in a round's total, taken away on this machine or on several.

A pure map over slices: a slice needs the masks' keys and its place, nothing else, so that the result is the same bit
for bit however the vector is cut and wherever a slice is computed. Workers of a Dask cluster see the keys of masks, and
from them each lost or surviving site's masks of this round: they are the coordinator's own machines, reached by TLS.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import numpy as np

from coordinator.session.config import CoordinatorConfig
from secagg import masks
from secagg.errors import ParameterError, SecaggError
from secagg.masks import Mask
from secagg.packing import Lanes
from secagg.protocol.ring_vector import RingVector, first_lane

if TYPE_CHECKING:
    from distributed import Security

_SLICES_A_WORKER = 4  # so that a slow worker has less to do than a fast one
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class ClusterError(SecaggError):
    """The cluster did not finish; the total is as it was, and can be recovered here."""


class Recover(Protocol):
    """Takes masks away from a total, in place.

    Raises:
        ClusterError: others were asked, and did not finish.
    """

    async def __call__(self, total: RingVector, left: Sequence[Mask]) -> None: ...


def recoverer(settings: CoordinatorConfig) -> "Recover":
    """Return who takes masks away from a total: the cluster that the settings name, or this machine."""
    if not settings.scheduler:
        return here
    return OnCluster(
        settings.scheduler, settings.scheduler_ca_file, settings.scheduler_cert_file, settings.scheduler_key_file
    )


async def here(total: RingVector, left: Sequence[Mask]) -> None:
    """Take the masks away in this process, on all of its cores; meanwhile its event loop goes on."""
    await asyncio.to_thread(total.mask, left, remove=True)


@dataclass(frozen=True, slots=True)
class OnCluster:
    """Takes the masks away on a Dask cluster.

    Args:
        scheduler: its address, ``tls://host:port``; without TLS only on this machine.
        ca_file, cert_file, key_file: the authority of the cluster, and this machine's certificate and key in it.

    Raises:
        ParameterError: the scheduler is elsewhere and not reached by TLS, or TLS lacks a file.
    """

    scheduler: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        address = urlsplit(self.scheduler)
        if address.scheme == "tls":
            if None in (self.ca_file, self.cert_file, self.key_file):
                raise ParameterError("a scheduler behind TLS needs the cluster's authority, a certificate and its key")
        elif address.scheme != "tcp" or address.hostname not in _LOOPBACK:
            raise ParameterError(
                f"the keys of masks would travel to {self.scheduler} in the clear: name a scheduler as tls://host:port"
            )

    async def __call__(self, total: RingVector, left: Sequence[Mask]) -> None:
        """Take the masks away; nothing changes before every slice is there."""
        from distributed import KilledWorker  # noqa: PLC0415 an extra

        try:
            change = await self._gathered(tuple(left), len(total.elements), total.elements.dtype)
        except (OSError, TimeoutError, CancelledError, KilledWorker) as error:
            raise ClusterError(f"the cluster of {self.scheduler} did not finish: {error}") from error
        np.add(total.elements, change, out=total.elements)
        masks.apply(total.lanes, left, start=first_lane(total.schema), remove=True)

    async def _gathered(self, left: tuple[Mask, ...], length: int, dtype: np.dtype[Any]) -> Lanes:
        """Return what takes the masks away, slice by slice as the workers deliver it."""
        from distributed import Client, as_completed  # noqa: PLC0415 an extra

        change: Lanes = np.empty(length, dtype)
        async with Client(self.scheduler, security=self._security(), asynchronous=True) as cluster:
            workers = len(await cluster.nthreads())
            if not workers:
                raise ClusterError(f"the cluster of {self.scheduler} has no workers")
            size = -(-length // (_SLICES_A_WORKER * workers))
            keys = await cluster.scatter(left, broadcast=True)
            places = {
                cluster.submit(removed, keys, min(size, length - at), dtype.str, at, pure=False): at
                for at in range(0, length, size)
            }
            async for future, lanes in as_completed(list(places), with_results=True):
                change[places[future] : places[future] + len(lanes)] = lanes
        return change

    def _security(self) -> "Security | None":
        from distributed import Security  # noqa: PLC0415 an extra

        if self.ca_file is None:
            return None
        return Security(
            tls_ca_file=str(self.ca_file),
            tls_client_cert=str(self.cert_file),
            tls_client_key=str(self.key_file),
            require_encryption=True,
        )


def removed(left: Sequence[Mask], count: int, dtype: str, start: int) -> Lanes:
    """Return what takes the masks away from the lanes [start, start + count): what a worker computes."""
    lanes: Lanes = np.zeros(count, dtype)
    masks.apply(lanes, left, start=start, remove=True)
    return lanes
