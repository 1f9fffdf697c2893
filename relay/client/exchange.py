"""Signed requests, retried for as long as a retry can help.

Spec: 04-relay-api §1. Each try is signed anew, as signatures expire in a minute, but all tries of a write share one
nonce: if the relay has carried out the request and only its response was lost, it repeats the response and no more.
"""

import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from secrets import token_bytes
from typing import Self

import aiohttp
from pydantic import ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential
from yarl import URL

from relay.api import signing
from relay.api.signing import NONCE_BYTES, RequestHead
from relay.api.wire import EPOCH_HEADER, ProblemDocument, parse, to_base64url
from relay.client.errors import RelayError, RelayUnavailableError
from relay.client.sockets import lively_socket
from relay.service import logs
from secagg import __version__
from secagg.errors import ParameterError
from secagg.identity import Identity

MAX_ANSWER_BYTES = 16 << 20
"""Only payloads are larger; a peer that sends more is a faulty relay or not a relay at all."""
CONNECT_S = 15.0
TCP_S = 2.5
"""Time for the TCP connection. With the longest back-off it bounds how late a recovered network is noticed."""
ANSWER_S = 30.0
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504, 507})
_UNDECIDED = frozenset({"unsigned", "bad-signature", "stale-signature", "bad-address"})
"""Refusals of a well-formed request that mean a wrong clock, or a change made to the request on the way."""
_CUT_OFF = _UNDECIDED | {"unknown-site", "revoked"}
_LONGEST_PAUSE_S = 60.0
_PROBLEM = "application/problem+json"
_URN = "urn:secagg:problem:"

_log = logs.logger(__name__)
_back_off = wait_random_exponential(multiplier=0.2, max=2.5)  # with TCP_S: reconnected within 5 s of any outage


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request before it is signed. `wait_s`: time beyond the usual that the relay may take to respond."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    media_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful response."""

    status: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS towards a relay.

    Attributes:
        ca_file: PEM file of the authority that issued the relay's certificate; None for the system's trust store.
        cert_file, key_file: PEM files of the client certificate, for a relay with mutual TLS.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Read the files; raises ParameterError if they are missing or invalid."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file)
        except OSError as error:  # ssl.SSLError is one
            named = [str(path) for path in (self.ca_file, self.cert_file, self.key_file) if path is not None]
            raise ParameterError(f"{', '.join(named)}: cannot use these files for TLS: {error}") from None
        return context


class _TransientError(Exception):
    """One try failed; the next one may succeed."""

    def __init__(self, reason: str, *, pause_s: float = 0.0, refusal: RelayError | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s
        self.refusal = refusal


class Exchange:
    """A site's connection to one relay.

    Args:
        url: scheme, host and port of the relay. Plain http only for this machine.
        identity: identity that signs the requests.
        tls: trust store and client certificate.
        proxy: URL of an HTTP proxy; if None, the environment decides (HTTPS_PROXY, NO_PROXY).
        give_up_after_s: time for which one request is retried.

    Attributes:
        epoch: the relay's epoch in its last response.
        failed_tries: number of tries that got no response, or one that was not from a relay.
        answered_at: time of the relay's last response, seconds since 1970.
        trouble: why the last try failed, or why the relay refuses this identity; "" if neither applies.
        clock_offset_s: whole seconds by which this machine's clock was ahead of the relay's at its last response.
    """

    def __init__(self, url: str, identity: Identity, *, tls: Tls, proxy: str | None, give_up_after_s: float) -> None:
        self._base = _checked(url)
        self._identity = identity
        self._tls = tls
        self._proxy = proxy
        self._give_up_after_s = give_up_after_s
        self._session: aiohttp.ClientSession | None = None
        self.epoch: str | None = None
        self.failed_tries = 0
        self.answered_at: float | None = None
        self.trouble = ""
        self.clock_offset_s: float | None = None

    async def __aenter__(self) -> Self:
        context = self._tls.context() if self._base.scheme == "https" else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, socket_factory=lively_socket),
            trust_env=self._proxy is None,
            auto_decompress=False,
            headers={"User-Agent": f"secagg/{__version__}", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, request: Request) -> Reply:
        """Send a request, with retries if needed, and return the response.

        Raises:
            RelayError: the relay refused it.
            RelayUnavailableError: no try succeeded.
        """
        nonce = to_base64url(token_bytes(NONCE_BYTES))
        async for attempt in self._tries():
            with attempt:
                async with self._open(request, nonce) as response:
                    return Reply(response.status, await _read(response))
        raise AssertionError("tenacity returns or raises")

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request, with retries if needed, and yield the response before its body arrives.

        A later failure is raised in the block as `RelayUnavailableError`; the caller knows where to resume.
        """
        nonce = to_base64url(token_bytes(NONCE_BYTES))
        async with AsyncExitStack() as stack:
            async for attempt in self._tries():
                with attempt:
                    response = await stack.enter_async_context(self._open(request, nonce))
            try:
                yield response
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise RelayUnavailableError(f"the connection to {self._base} broke: {_reason(error)}") from error

    def _tries(self) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception_type(_TransientError),
            stop=stop_after_delay(self._give_up_after_s),
            wait=_pause,
            before_sleep=self._say_so,
            retry_error_callback=self._give_up,
        )

    @asynccontextmanager
    async def _open(self, request: Request, nonce: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request once and yield the response if it is a success."""
        if self._session is None:
            raise ParameterError("use the client within `async with`")
        url = (self._base / request.path.removeprefix("/")).with_query(request.query)
        headers = dict(request.headers)
        if request.media_type is not None:
            headers["Content-Type"] = request.media_type
        head = RequestHead(request.method, str(url), headers)
        signing.sign(self._identity, head, request.body, nonce=nonce, created=int(time.time()))
        try:
            async with self._session.request(
                request.method,
                url,
                data=BytesIO(request.body) if request.body else None,
                headers=headers,
                proxy=self._proxy,
                allow_redirects=False,  # the signature is meant for this relay
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=CONNECT_S, sock_connect=TCP_S, sock_read=ANSWER_S + request.wait_s
                ),
            ) as response:
                self._note_answer(response)
                if not 200 <= response.status < 300:
                    refusal = _of_document(response, await _read(response))
                    self._note_refusal(refusal)
                    raise _error_of(response, refusal)
                yield response
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            self._note_failure(f"TLS: {_reason(error)}")
            # a retry would not help
            raise RelayUnavailableError(f"TLS with {self._base} failed: {_reason(error)}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._note_failure(_reason(error))
            raise _TransientError(_reason(error)) from error

    def _note_answer(self, response: aiohttp.ClientResponse) -> None:
        if EPOCH_HEADER not in response.headers:
            self._note_failure(f"status {response.status} from something other than a relay")
            return
        self.answered_at, self.trouble = time.time(), ""
        self.clock_offset_s = _ahead_of(response.headers.get("Date", ""), self.answered_at)
        epoch = response.headers[EPOCH_HEADER]
        if self.epoch not in {None, epoch}:
            _log.error("the relay was restored from a backup; all runs that were open are void", relay=str(self._base))
        self.epoch = epoch

    def _note_refusal(self, refusal: RelayError | None) -> None:
        """Record a refusal of this identity: although the relay responds, such a site is cut off as well."""
        if refusal is None or refusal.type not in _CUT_OFF:
            return
        self.trouble = f"the relay refuses this site: {refusal}"
        if refusal.type == "stale-signature" and self.clock_offset_s is not None:
            ahead = "ahead of" if self.clock_offset_s > 0 else "behind"
            self.trouble += f"; this machine's clock is {abs(self.clock_offset_s):.0f} s {ahead} the relay's: set it"

    def _note_failure(self, reason: str) -> None:
        self.failed_tries += 1
        self.trouble = reason

    def _say_so(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        _log.warning("retrying", relay=str(self._base), reason=str(error), tries=state.attempt_number)

    def _give_up(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _TransientError) and error.refusal is not None and error.refusal.type == "quota":
            raise error.refusal from None
        raise RelayUnavailableError(
            f"the relay at {self._base} did not accept the request in {state.attempt_number} tries: {error}"
        ) from error


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.pause_s if isinstance(error, _TransientError) else 0.0
    return max(_back_off(state), min(asked, _LONGEST_PAUSE_S))


def _error_of(response: aiohttp.ClientResponse, refusal: RelayError | None) -> Exception:
    if response.status in _TRY_AGAIN:
        reason = str(refusal or f"status {response.status}")
        return _TransientError(reason, pause_s=_pause_asked(response.headers.get("Retry-After", "")), refusal=refusal)
    if refusal is None:
        return no_relay(f"status {response.status} without a problem document")
    return RelayUnavailableError(str(refusal)) if refusal.type in _UNDECIDED else refusal


def _pause_asked(retry_after: str) -> float:
    """Parse a `Retry-After`: seconds or, from some proxies, a date; returns 0 if it is neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        return (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # not a date, or one without a zone
        return 0.0


def _of_document(response: aiohttp.ClientResponse, body: bytes) -> RelayError | None:
    if response.content_type != _PROBLEM:
        return None
    try:
        document = parse(ProblemDocument, body)
    except ValidationError:
        return None
    name = document.type.removeprefix(_URN)
    return RelayError(name, response.status, document.detail, state=document.state, received=document.received)


def _ahead_of(date: str, now: float) -> float | None:
    """Return by how many seconds a clock is ahead of the `Date` of a response, which counts whole seconds."""
    try:
        return round(now - parsedate_to_datetime(date).timestamp())
    except (ValueError, TypeError):  # no date
        return None


def no_relay(reason: str) -> RelayUnavailableError:
    """Return the error for a response that cannot come from a relay."""
    return RelayUnavailableError(f"the response did not come from a relay; check the URL and any proxies: {reason}")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise no_relay(f"the response exceeds {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _checked(url: str) -> URL:
    base = URL(url)
    if base.scheme not in {"http", "https"} or not base.host or base.path not in {"", "/"} or base.query_string:
        raise ParameterError(f"{url!r} is not a relay's URL; use the form https://relay.example.org")
    if base.scheme == "http" and not _is_this_machine(base.host):
        raise ParameterError(f"{url!r}: use https for a relay on another machine")
    return base.origin()


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
