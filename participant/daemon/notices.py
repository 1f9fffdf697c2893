"""Notices to the officers, by e-mail and webhook: something waits for a decision.

A notice holds the project, the run, what is asked in the words that the coordinator reads as well, and the deadline;
nothing that depends on a row. All that is new goes into one notice, at most one a minute to each channel. A channel
that fails is tried again until the deadlines have passed, and holds up neither the daemon nor the other channel. What
was noticed is not stored: a daemon that restarts repeats what still waits.
"""

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from uuid import UUID

import aiohttp
import aiosmtplib

from participant.records.decisions import Waiting
from participant.settings.config import ParticipantConfig
from relay.service.dates import utc
from relay.service.logs import logger

log = logger(__name__)

EVERY_S = 60.0
SEND_S = 20.0
_PORTS = {"smtp": 587, "smtps": 465}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}

Item = tuple[UUID, bytes]


@dataclass(frozen=True, slots=True)
class Notice:
    """What waits, for a person and for a program."""

    waits: tuple[Waiting, ...]

    @property
    def subject(self) -> str:
        return f"{len(self.waits)} decision{'s'[: len(self.waits) > 1]} for the officer of this site"

    def text(self) -> str:
        """Return the body of an e-mail."""
        lines = [
            f"Run {one.run} of project {one.project} waits until {utc(one.deadline)}.\n"
            f"  {one.public}\n"
            f"  secagg-participant explain {one.run}\n"
            f"  secagg-participant approve {one.run}     (or: deny)\n"
            for one in self.waits
        ]
        return "\n".join(lines)

    def facts(self) -> dict[str, Any]:
        """Return the JSON object that a webhook receives."""
        waits = [
            {
                "project": str(one.project),
                "run": str(one.run),
                "round": one.round,
                "rules": list(one.rules),
                "reason": one.public,
                "deadline": one.deadline,
            }
            for one in self.waits
        ]
        return {"event": "decision-waits", "text": f"{self.subject}\n{self.text()}", "waits": waits}


class Channel(Protocol):
    """A way to officers. `send` raises on failure."""

    @property
    def name(self) -> str: ...

    async def send(self, notice: Notice) -> None: ...


@dataclass(frozen=True, slots=True)
class Mail:
    """E-mail by one SMTP server: over TLS, or without it on this machine only."""

    url: str = field(repr=False)
    sender: str
    officers: tuple[str, ...]
    name: str = "e-mail"

    async def send(self, notice: Notice) -> None:
        server = urlsplit(self.url)
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, ", ".join(self.officers), notice.subject
        message.set_content(notice.text())
        is_here = server.hostname in _LOOPBACK
        await aiosmtplib.send(
            message,
            hostname=server.hostname,
            port=server.port or _PORTS[server.scheme],
            username=unquote(server.username) if server.username else None,
            password=unquote(server.password) if server.password else None,
            use_tls=server.scheme == "smtps",
            start_tls=None if server.scheme == "smtps" or is_here else True,
            tls_context=ssl.create_default_context(),
            timeout=SEND_S,
        )


@dataclass(frozen=True, slots=True)
class Webhook:
    """A POST of JSON, whose member `text` chat services show."""

    url: str = field(repr=False)
    name: str = "webhook"

    async def send(self, notice: Notice) -> None:
        timeout = aiohttp.ClientTimeout(total=SEND_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.post(self.url, json=notice.facts(), allow_redirects=False) as answer,
        ):
            if answer.status >= 300:
                raise aiohttp.ClientError(f"status {answer.status}")


def channels_of(config: ParticipantConfig) -> tuple[Channel, ...]:
    """Return the channels that the settings name."""
    mail, hook = config.notify_smtp.get_secret_value(), config.notify_webhook.get_secret_value()
    found: list[Channel] = []
    if mail:
        found.append(Mail(mail, config.notify_from, config.notify_to))
    if hook:
        found.append(Webhook(hook))
    return tuple(found)


class OfficerNotices:
    """Sends each channel what it has not been told yet.

    Args:
        channels: the channels.
    """

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._channels = channels
        self._told: dict[str, set[Item]] = {one.name: set() for one in channels}
        self._next: dict[str, float] = dict.fromkeys(self._told, 0.0)

    async def send(self, waiting: Iterable[Waiting], now: float) -> None:
        """Send one notice of all that is new to each channel whose minute is over.

        Args:
            waiting: what waits for an officer now.
            now: current time, seconds since 1970.
        """
        waits = {(one.run, one.subject): one for one in waiting if one.public and now < one.deadline}
        await asyncio.gather(*(self._tell(one, waits, now) for one in self._channels))

    async def _tell(self, channel: Channel, waits: dict[Item, Waiting], now: float) -> None:
        told = self._told[channel.name] = self._told[channel.name] & waits.keys()
        fresh = [item for item in waits if item not in told]
        if not fresh or now < self._next[channel.name]:
            return
        self._next[channel.name] = now + EVERY_S
        try:
            async with asyncio.timeout(2 * SEND_S):
                await channel.send(Notice(tuple(waits[item] for item in fresh)))
        except (OSError, TimeoutError, aiohttp.ClientError, aiosmtplib.SMTPException, ValueError) as error:
            # an address may be part of the error's text, and a password part of the address
            log.warning("notice-failed", channel=channel.name, error=type(error).__name__)
        else:
            told.update(fresh)
            log.info("notice-sent", channel=channel.name, number=len(fresh))
