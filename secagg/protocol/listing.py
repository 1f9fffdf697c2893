"""Lists of the sites' signed frames; each site is shown only its neighbours' and its own.

Spec: 02-protocol §5. A listing names all senders, and its Merkle root covers all their frames: sites that were shown
different frames of a list still agree on the whole list. On the complete graph everything is shown.
"""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from secagg import envelope, merkle
from secagg.envelope import COORDINATOR, Frame
from secagg.errors import FaultyCoordinatorError
from secagg.graph import Graph
from secagg.identity import InvalidSignatureError
from secagg.messages import Listing, Manifest, ProtocolMessage


class Listed(NamedTuple):
    """A list as read by a site: all senders, the root over all frames, and the frames it is shown, by sender."""

    senders: tuple[int, ...]
    root: bytes
    frames: dict[int, Frame]


class Shown:
    """A list as the coordinator shows it.

    Attributes:
        root: Merkle root over all frames.
    """

    def __init__(self, frames: Mapping[int, Frame]) -> None:
        self._frames = frames
        self._senders = tuple(sorted(frames))
        self._tree = merkle.Tree(frames[site].encode() for site in self._senders)
        self.root = self._tree.root

    def to(self, site: int, graph: Graph) -> Listing:
        seen = graph.seen_by(site, self._frames)
        return self.whole if len(seen) == len(self._senders) else self._listing(seen)

    @cached_property
    def whole(self) -> Listing:
        """The list as shown to everyone on the complete graph; built and encoded once."""
        return self._listing(self._senders)

    def _listing(self, seen: Collection[int]) -> Listing:
        positions = [bisect_left(self._senders, site) for site in seen]
        return Listing(
            senders=self._senders,
            frames=tuple(self._frames[site] for site in seen),
            siblings=self._tree.siblings(positions),
        )


def read_listing(
    listing: Listing,
    manifest: Manifest,
    *,
    site: int,
    graph: Graph,
    kind: type[ProtocolMessage],
    epoch: bytes,
    transcript: bytes,
    round_: int = 0,
) -> Listed:
    """Check the frames shown to a site, each against its author's key, and that they are the frames that it should see.

    Raises:
        FaultyCoordinatorError: V-0205 and V-0206 as in `forwarded`; V-0207 the frames are not those of the site and its
            neighbours among the senders, or do not match the siblings.
    """
    frames = forwarded(listing.frames, manifest, kind=kind, epoch=epoch, transcript=transcript, round_=round_)
    senders = listing.senders
    if list(frames) != graph.seen_by(site, set(senders)):
        raise FaultyCoordinatorError("V-0207", f"{kind.__name__}: the frames are not those that this site should see")
    leaves = {bisect_left(senders, sender): frame.encode() for sender, frame in frames.items()}
    root = merkle.root_from_leaves(leaves, len(senders), listing.siblings)
    if root is None:
        raise FaultyCoordinatorError("V-0207", f"{kind.__name__}: the siblings do not lead to a root")
    return Listed(senders, root, frames)


def forwarded(
    frames: Sequence[Frame],
    manifest: Manifest,
    *,
    kind: type[ProtocolMessage],
    epoch: bytes,
    transcript: bytes,
    round_: int = 0,
) -> dict[int, Frame]:
    """Return the frames of other sites passed on by the coordinator, by sender, each checked against its author's key.

    Raises:
        FaultyCoordinatorError: V-0205 a frame has the wrong kind, epoch, round, transcript or recipient, or is not
            signed by its author; V-0206 not one frame per sender in ascending order.
    """
    senders = [frame.sender for frame in frames]
    if senders != sorted(set(senders)) or not all(1 <= sender <= len(manifest.sites) for sender in senders):
        raise FaultyCoordinatorError(
            "V-0206", f"{kind.__name__}: the senders are not ascending indices of the manifest"
        )
    for frame in frames:
        if (frame.version, frame.kind, frame.epoch, frame.transcript, frame.round, frame.recipient) != (
            envelope.VERSION,
            kind.KIND,
            epoch,
            transcript,
            round_,
            COORDINATOR,
        ):
            raise FaultyCoordinatorError("V-0205", f"{kind.__name__} of site {frame.sender} belongs elsewhere")
        try:
            frame.verify(manifest.sites[frame.sender - 1])
        except InvalidSignatureError:
            detail = f"{kind.__name__} of site {frame.sender} is not signed by that site"
            raise FaultyCoordinatorError("V-0205", detail) from None
    return {frame.sender: frame for frame in frames}
