"""The relay's interface as typed methods. Spec: 04-relay-api.

The client checks only the form of the relay's responses and does not trust their content: people confirm rosters,
frames carry their author's signature, and a payload counts only if its digest is the one that a signed frame names.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import UUID

from pydantic import ValidationError

from relay.api.states import MemberState, Role, RunState, SiteState
from relay.api.wire import (
    CHUNK_BYTES,
    MAX_WAIT_S,
    Announcement,
    BytesReceived,
    Enrolment,
    LeaseRequest,
    Member,
    MemberAnswer,
    Message,
    MessageId,
    Messages,
    NewProject,
    NewRun,
    NewTask,
    NewTasks,
    PayloadRef,
    PayloadUpload,
    Projects,
    ProjectSummary,
    RelayFacts,
    RelayProject,
    RelayRun,
    RosterSites,
    RunChange,
    RunLease,
    RunReportBody,
    Runs,
    SealedRoster,
    Site,
    SiteReport,
    SiteReports,
    Sites,
    Succession,
    encode,
    parse,
    to_base64url,
)
from relay.client.errors import RelayError, RelayUnavailableError
from relay.client.exchange import Exchange, Request, Tls, no_relay
from secagg.errors import ParameterError
from secagg.identity import Identity

__all__ = [
    "Member",
    "MemberState",
    "Message",
    "PayloadRef",
    "ProjectSummary",
    "RelayClient",
    "RelayError",
    "RelayProject",
    "RelayRun",
    "RelayUnavailableError",
    "Role",
    "RunState",
    "SealedRoster",
    "Site",
    "SiteReport",
    "SiteState",
]  # fmt: skip

_JSON = "application/json"
_BYTES = "application/octet-stream"
_FRUITLESS_TRIES = 3
_DIGEST_BYTES_A_SECOND = 50e6  # on a slow relay

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """Connection health.

    Attributes:
        failed_tries: number of tries without a response so far.
        answered_at: time of the relay's last response, seconds since 1970.
        trouble: the current fault, or why the relay refuses this site; "" for none.
        clock_offset_s: seconds by which this machine's clock is ahead of the relay's; None before its first response.
    """

    failed_tries: int
    answered_at: float | None
    trouble: str
    clock_offset_s: float | None


class RelayClient:
    """A site's client for one relay; use it within `async with`. Its methods may run concurrently.

    Args:
        url: scheme, host and port of the relay; plain http only for this machine.
        identity: the site's identity, which signs every request.
        ca_file: PEM file of the authority that issued the relay's certificate; None for the system's trust store.
        cert_file, key_file: PEM files of the client certificate, for a relay with mutual TLS.
        proxy: URL of an HTTP proxy; if None, the environment decides (HTTPS_PROXY, NO_PROXY).
        give_up_after_s: time for which one request is retried before `RelayUnavailableError`.

    Every method raises `RelayError` if the relay refuses, and `RelayUnavailableError` if it cannot be reached.
    """

    def __init__(
        self,
        url: str,
        identity: Identity,
        *,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        proxy: str | None = None,
        give_up_after_s: float = 60.0,
    ) -> None:
        self.key = identity.public
        tls = Tls(ca_file=ca_file, cert_file=cert_file, key_file=key_file)
        self._exchange = Exchange(url, identity, tls=tls, proxy=proxy, give_up_after_s=give_up_after_s)

    async def __aenter__(self) -> Self:
        await self._exchange.__aenter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._exchange.__aexit__(*details)

    @property
    def epoch(self) -> str | None:
        """The relay's epoch in its last response; a new value means that the relay was restored from a backup."""
        return self._exchange.epoch

    @property
    def connection(self) -> "ConnectionState":
        """Health of the connection."""
        exchange = self._exchange
        return ConnectionState(exchange.failed_tries, exchange.answered_at, exchange.trouble, exchange.clock_offset_s)

    # Sites

    async def enrol(self, token: str, name: str) -> Site:
        """Enrol this identity with a join token. Safe to repeat with the same token."""
        return await self._send(Site, "POST", "/v1/sites", Enrolment(token=token, name=name, key=self.key))

    async def relay(self) -> RelayFacts:
        """Return the relay's epoch and the latest signed checkpoint of its audit log."""
        return await self._send(RelayFacts, "GET", "/v1/relay")

    async def sites(self) -> list[Site]:
        """Return all sites to a coordinator; to a site, itself and the sites that share a project with it."""
        return (await self._send(Sites, "GET", "/v1/sites")).sites

    async def succeed(self, predecessor: bytes, handover: bytes) -> Site:
        """Replace another key, which signed the `handover` (see `relay.client.enrolment.rotate`)."""
        path = f"/v1/sites/{to_base64url(predecessor)}/successor"
        return await self._send(Site, "POST", path, Succession(handover=handover))

    async def deregister(self, key: bytes) -> None:
        """End this site or, as an operator, another one: its key will never be valid again."""
        try:
            await self._send(Site, "DELETE", f"/v1/sites/{to_base64url(key)}")
        except RelayError as error:
            if key != self.key or error.type != "revoked":  # the request took effect, only its response was lost
                raise

    # Projects

    async def create_project(self, project: UUID, name: str, terms: bytes) -> RelayProject:
        """Create a project with opaque terms of at most 64 KiB."""
        return await self._send(RelayProject, "PUT", f"/v1/projects/{project}", NewProject(name=name, terms=terms))

    async def projects(self) -> list[ProjectSummary]:
        """Return the projects that this site leads or is a member of."""
        return (await self._send(Projects, "GET", "/v1/projects")).projects

    async def project(self, project: UUID) -> RelayProject:
        """Return a project with its terms, members and roster."""
        return await self._send(RelayProject, "GET", f"/v1/projects/{project}")

    async def invite(self, project: UUID, key: bytes) -> Member:
        """Invite a site."""
        return await self._send(Member, "PUT", f"/v1/projects/{project}/members/{to_base64url(key)}")

    async def answer(
        self, project: UUID, state: MemberState | str, *, reason: str = "", roster_version: int | None = None
    ) -> Member:
        """Join, decline, confirm a roster version, or leave."""
        answer = MemberAnswer(state=MemberState(state), reason=reason, roster_version=roster_version)
        return await self._send(Member, "PUT", f"/v1/projects/{project}/answer", answer)

    async def set_tasks(self, project: UUID, tasks: Iterable[tuple[str, bytes]], *, version: int) -> RelayProject:
        """Replace a project's tasks (name and parameters) if they still have this version."""
        wanted = NewTasks(version=version, tasks=[NewTask(name=name, parameters=rest) for name, rest in tasks])
        return await self._send(RelayProject, "PUT", f"/v1/projects/{project}/tasks", wanted)

    async def seal_roster(self, project: UUID, sites: Iterable[bytes]) -> SealedRoster:
        """Put a roster of joined sites in force."""
        return await self._send(SealedRoster, "PUT", f"/v1/projects/{project}/roster", RosterSites(sites=list(sites)))

    # Runs

    async def create_run(
        self, project: UUID, run: UUID, name: str, task: int | None = None, *, deadline: float | None = None
    ) -> RelayRun:
        """Create a run with the roster in force.

        Args:
            project: the project.
            run: its ID, chosen by the caller.
            name: a name for people to read.
            task: number of the project's task that the run carries out, if any.
            deadline: when the relay ends the run unless its coordinator already has, seconds since 1970.
        """
        wanted = NewRun(name=name, task=task, deadline=deadline)
        return await self._send(RelayRun, "PUT", f"/v1/projects/{project}/runs/{run}", wanted)

    async def runs(self, project: UUID) -> list[RelayRun]:
        """Return a project's runs, newest first."""
        return (await self._send(Runs, "GET", f"/v1/projects/{project}/runs")).runs

    async def run(self, run: UUID) -> RelayRun:
        """Return a run."""
        return await self._send(RelayRun, "GET", f"/v1/runs/{run}")

    async def change_run(
        self, run: UUID, from_: RunState | str, to: RunState | str, reason: str = "", *, lease: int | None = None
    ) -> RelayRun:
        """Change a run's state if it is still `from_`; otherwise raises `conflict`, with the current one as `state`.

        `lease` is the token of this process's lease; raises `stale-lease` if another process holds the run.
        """
        change = RunChange(**{"from": RunState(from_)}, to=RunState(to), reason=reason, lease=lease)
        return await self._send(RelayRun, "POST", f"/v1/runs/{run}/state", change)

    async def lease_run(self, run: UUID, holder: str, ttl_s: float) -> RunLease:
        """Take or renew the lease of a run, or release it with `ttl_s` 0.

        Args:
            run: the run.
            holder: name that this process chose for itself; letters, digits, - and _.
            ttl_s: duration in seconds, at most ten minutes.

        Raises:
            RelayError: `stale-lease` while another process of this coordinator holds the lease.
        """
        return await self._send(RunLease, "PUT", f"/v1/runs/{run}/lease", LeaseRequest(holder=holder, ttl_s=ttl_s))

    async def reports(self, run: UUID) -> list[SiteReport]:
        """Return what the sites of a run reported last: all of them to its coordinator, only its own to a site."""
        return list((await self._send(SiteReports, "GET", f"/v1/runs/{run}/reports")).sites)

    async def report(
        self, run: UUID, from_: SiteState | str, to: SiteState | str, *, round_: int = 0, reason: str = ""
    ) -> SiteReport:
        """Report this site's state in a run if it is still `from_`; else raises `conflict` with the current one."""
        wanted = RunReportBody(**{"from": SiteState(from_)}, to=SiteState(to), round=round_, reason=reason)
        return await self._send(SiteReport, "POST", f"/v1/runs/{run}/report", wanted)

    # Messages

    async def post_message(
        self, run: UUID, to: bytes | None, frame: bytes, payload: str | None = None, *, lease: int | None = None
    ) -> int:
        """Post a frame and return the message's ID.

        Args:
            run: the run.
            to: the recipient's key, or None for all sites of the run.
            frame: the encoded, signed frame, at most 4 MiB.
            payload: ID of a payload uploaded for the same recipient.
            lease: token of this process's lease of the run, if it holds one.
        """
        query = {"to": _recipient(to)} | ({} if payload is None else {"payload": payload})
        query |= {} if lease is None else {"lease": str(lease)}
        reply = await self._exchange.send(
            Request(method="POST", path=f"/v1/runs/{run}/messages", query=query, body=frame, media_type=_BYTES)
        )
        return _parsed(MessageId, reply.body).id

    async def messages(self, after: int = 0, wait: float = 0.0, limit: int | None = None) -> list[Message]:
        """Return the next messages to this site in ascending order of ID.

        Args:
            after: ID of the last message received.
            wait: seconds to wait if there is no message; one request waits 30 at most.
            limit: maximum number of messages.
        """
        query = {"after": str(after), "wait": f"{min(wait, MAX_WAIT_S):g}"} | ({"limit": str(limit)} if limit else {})
        reply = await self._exchange.send(Request(method="GET", path="/v1/messages", query=query, wait_s=wait))
        return _parsed(Messages, reply.body).messages

    async def parcels(self, run: UUID, after: int = 0) -> list[Message]:
        """Return a run's next parcels to this site (`relay.client.parcels` opens them)."""
        return (await self._send(Messages, "GET", f"/v1/runs/{run}/parcels", query={"after": str(after)})).messages

    async def frame(self, message_id: int) -> bytes:
        """Return the frame of a message that is too large to be included in the list."""
        return (await self._exchange.send(Request(method="GET", path=f"/v1/messages/{message_id}"))).body

    # Payloads

    async def upload(
        self, run: UUID, parts: Iterable[bytes] | Path | bytes, *, size: int, digest: bytes, to: bytes | None
    ) -> str:
        """Upload a payload and return its ID; resumes where an earlier attempt stopped.

        Args:
            run: the run.
            parts: the bytes in order, in pieces of any size.
            size: number of bytes.
            digest: their SHA-256.
            to: the recipient's key, or None for all sites of the run.

        Raises:
            ParameterError: the number of bytes in `parts` is not `size`.
        """
        announced = await self._send(
            PayloadUpload, "POST", f"/v1/runs/{run}/blobs", Announcement(size=size, digest=digest, to=to)
        )
        position = announced.received
        pieces = _pieces(parts, skip=position)
        while position < size:
            piece = await asyncio.to_thread(next, pieces, b"")  # reading or sealing takes a while
            if not piece or position + len(piece) > size:
                raise ParameterError(f"the payload does not have the announced size of {size} bytes")
            # the relay reads the whole payload after the last piece, to check its digest
            wait_s = size / _DIGEST_BYTES_A_SECOND if position + len(piece) == size else 0.0
            position = await self._write(announced.id, position, piece, wait_s)
        return announced.id

    async def download(self, blob_id: str) -> AsyncIterator[bytes]:
        """Yield a payload's bytes, resuming after a broken connection. The caller checks the digest."""
        position, size, fruitless = 0, None, 0
        while size is None or position < size:
            before = position
            try:
                async with self._exchange.stream(
                    Request(method="GET", path=f"/v1/blobs/{blob_id}", headers={"Range": f"bytes={position}-"})
                ) as response:
                    size = _whole_size(response.headers.get("Content-Range", ""), position)
                    async for piece in response.content.iter_any():
                        position += len(piece)
                        yield piece
            except RelayUnavailableError:
                fruitless = 0 if position > before else fruitless + 1
                if fruitless == _FRUITLESS_TRIES:
                    raise

    async def _write(self, blob: str, offset: int, piece: bytes, wait_s: float) -> int:
        request = Request(
            method="PUT",
            path=f"/v1/blobs/{blob}",
            query={"offset": str(offset)},
            body=piece,
            media_type=_BYTES,
            wait_s=wait_s,
        )
        try:
            return _parsed(BytesReceived, (await self._exchange.send(request)).body).received
        except RelayError as error:
            if error.received == offset + len(piece):  # accepted, but so long ago that the nonce is gone
                return error.received
            raise

    async def _send(
        self, kind: type[T], method: str, path: str, content: Any = None, *, query: Mapping[str, str] | None = None
    ) -> T:
        body = b"" if content is None else encode(content)
        media_type = None if content is None else _JSON
        request = Request(method=method, path=path, query=query or {}, body=body, media_type=media_type)
        reply = await self._exchange.send(request)
        return _parsed(kind, reply.body)


def _parsed(kind: type[T], body: bytes) -> T:
    try:
        return parse(kind, body)
    except ValidationError:
        raise no_relay(f"it is no {kind.__name__}") from None


def _recipient(to: bytes | None) -> str:
    return "all" if to is None else to_base64url(to)


def _whole_size(content_range: str, position: int) -> int:
    head, _, size = content_range.rpartition("/")
    if not head.startswith(f"bytes {position}-") or not size.isdigit():
        raise no_relay("it is not the range that was asked for")
    return int(size)


def _pieces(parts: Iterable[bytes] | Path | bytes, *, skip: int) -> Iterator[bytes]:
    """Yield the bytes after the first `skip` in pieces of 4 MiB, the last one shorter."""
    if isinstance(parts, Path):
        with parts.open("rb") as file:
            file.seek(skip)
            while piece := file.read(CHUNK_BYTES):
                yield piece
        return
    rest = bytearray()
    for part in (parts,) if isinstance(parts, bytes) else parts:
        skipped = min(skip, len(part))
        skip -= skipped
        rest += memoryview(part)[skipped:]
        while len(rest) >= CHUNK_BYTES:
            yield bytes(rest[:CHUNK_BYTES])
            del rest[:CHUNK_BYTES]
    if rest:
        yield bytes(rest)
