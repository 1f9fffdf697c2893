"""Unmasking: removes the masks that are left in a round's total, on this machine or on a cluster.

This is a pure map over slices: a slice needs only the masks' keys and its offset, so the result is the same bit for bit
however the vector is cut and wherever a slice is computed. Workers of a Dask cluster see the keys of this round's
masks, so they must be the coordinator's own machines, reached over TLS.
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
    """The cluster did not finish; the total is unchanged, and this machine can unmask it."""


class Recover(Protocol):
    """Removes masks from a total, in place.

    Raises:
        ClusterError: a cluster was asked and did not finish.
    """

    async def __call__(self, total: RingVector, left: Sequence[Mask]) -> None: ...


def recoverer(settings: CoordinatorConfig) -> "Recover":
    """Return the function that removes masks from a total, on the configured cluster or this machine."""
    if not settings.scheduler:
        return here
    return OnCluster(
        settings.scheduler, settings.scheduler_ca_file, settings.scheduler_cert_file, settings.scheduler_key_file
    )


async def here(total: RingVector, left: Sequence[Mask]) -> None:
    """Remove the masks in this process, on all cores, without blocking the event loop."""
    await asyncio.to_thread(total.mask, left, remove=True)


@dataclass(frozen=True, slots=True)
class OnCluster:
    """Removes the masks on a Dask cluster.

    Args:
        scheduler: address of the scheduler, ``tls://host:port``; without TLS only on this machine.
        ca_file, cert_file, key_file: certificate authority of the cluster, and this machine's certificate and key.

    Raises:
        ParameterError: a remote scheduler is not reached over TLS, or TLS lacks a file.
    """

    scheduler: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        address = urlsplit(self.scheduler)
        if address.scheme == "tls":
            if None in (self.ca_file, self.cert_file, self.key_file):
                raise ParameterError(
                    "a scheduler with TLS needs scheduler_ca_file, scheduler_cert_file and scheduler_key_file"
                )
        elif address.scheme != "tcp" or address.hostname not in _LOOPBACK:
            raise ParameterError(
                f"mask keys would be sent to {self.scheduler} unencrypted; use a scheduler with TLS, tls://host:port"
            )

    async def __call__(self, total: RingVector, left: Sequence[Mask]) -> None:
        """Remove the masks; the total changes only once every slice has arrived."""
        from distributed import KilledWorker  # noqa: PLC0415 an extra

        try:
            change = await self._gathered(tuple(left), len(total.elements), total.elements.dtype)
        except (OSError, TimeoutError, CancelledError, KilledWorker) as error:
            raise ClusterError(f"the cluster at {self.scheduler} did not finish: {error}") from error
        np.add(total.elements, change, out=total.elements)
        masks.apply(total.lanes, left, start=first_lane(total.schema), remove=True)

    async def _gathered(self, left: tuple[Mask, ...], length: int, dtype: np.dtype[Any]) -> Lanes:
        """Return the vector that removes the masks, assembled as the workers deliver its slices."""
        from distributed import Client, as_completed  # noqa: PLC0415 an extra

        change: Lanes = np.empty(length, dtype)
        async with Client(self.scheduler, security=self._security(), asynchronous=True) as cluster:
            workers = len(await cluster.nthreads())
            if not workers:
                raise ClusterError(f"the cluster at {self.scheduler} has no workers")
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
    """Return the values that remove the masks from lanes [start, start + count); runs on a worker."""
    lanes: Lanes = np.zeros(count, dtype)
    masks.apply(lanes, left, start=start, remove=True)
    return lanes
