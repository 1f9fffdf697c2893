"""Notices to officers: what they say, how often, by which way, and what a failing channel costs."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email import message_from_string
from email.policy import default
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtplib import SMTPException
from pydantic import ValidationError

from participant.daemon.notices import EVERY_S, Mail, Notice, OfficerNotices, Webhook, channels_of
from participant.records.decisions import Waiting
from participant.settings.config import ParticipantConfig

NOW = 1_800_000_000.0
WAITS = Waiting(
    run=UUID(int=1),
    project=UUID(int=2),
    round=3,
    subject=b"subject",
    rules=("loss_rule",),
    words="sites lost: 1, and a canary that only this house may read",
    public="loss_rule: an officer must decide: the sum is without 1 site lost in this run",
    deadline=int(NOW) + 3600,
)


@dataclass
class Kept:
    """A channel that keeps notices, or fails."""

    name: str = "kept"
    fails: bool = False
    notices: list[Notice] = field(default_factory=list)

    async def send(self, notice: Notice) -> None:
        if self.fails:
            raise OSError("no route")
        self.notices.append(notice)


async def test_each_thing_that_waits_is_said_once_and_new_ones_together_after_a_minute():
    kept = Kept()
    notices = OfficerNotices([kept])
    await notices.send([WAITS], NOW)
    await notices.send([WAITS], NOW + 1)
    others = [replace(WAITS, subject=bytes([i])) for i in range(3)]
    await notices.send([WAITS, *others], NOW + 2)
    assert [len(one.waits) for one in kept.notices] == [1]
    await notices.send([WAITS, *others], NOW + EVERY_S)
    assert [len(one.waits) for one in kept.notices] == [1, 3]
    await notices.send([], NOW + 2 * EVERY_S)  # decided
    await notices.send([WAITS], NOW + 3 * EVERY_S)  # and asked again
    assert [len(one.waits) for one in kept.notices] == [1, 3, 1]


async def test_a_channel_that_fails_is_tried_again_until_the_deadline_and_holds_up_no_other():
    failing, kept = Kept("failing", fails=True), Kept()
    notices = OfficerNotices([failing, kept])
    await notices.send([WAITS], NOW)
    assert (len(failing.notices), len(kept.notices)) == (0, 1)
    failing.fails = False
    await notices.send([WAITS], NOW + EVERY_S - 1)
    assert failing.notices == []
    await notices.send([WAITS], NOW + EVERY_S)
    assert (len(failing.notices), len(kept.notices)) == (1, 1)
    late = Kept("late", fails=True)
    of_late = OfficerNotices([late])
    await of_late.send([WAITS], NOW)
    late.fails = False
    await of_late.send([WAITS], WAITS.deadline)
    assert late.notices == []


def test_a_notice_holds_the_public_reason_and_what_to_type_and_nothing_of_this_house():
    notice = Notice((WAITS,))
    for text in (notice.subject, notice.text(), str(notice.facts())):
        assert "canary" not in text
    assert WAITS.public in notice.text()
    assert f"secagg-participant approve {WAITS.run}" in notice.text()
    assert notice.facts()["waits"][0]["deadline"] == WAITS.deadline


@asynccontextmanager
async def smtp_server():
    """A server that takes any mail, (port, mails)."""
    mails: list[str] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            match line.split()[0].upper():
                case b"DATA":
                    writer.write(b"354 go on\r\n")
                    mails.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                    writer.write(b"250 kept\r\n")
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case _:
                    writer.write(b"250 fine\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], mails
        await asyncio.gather(*serving)


async def test_an_e_mail_reaches_the_officers():
    async with smtp_server() as (port, mails):
        officers = ("o@a.example", "p@a.example")
        await Mail(f"smtp://127.0.0.1:{port}", "secagg@a.example", officers).send(Notice((WAITS,)))
    mail = message_from_string(mails[0], policy=default)
    assert mail["To"] == "o@a.example, p@a.example"
    assert mail["Subject"] == "1 decision for the officer of this site"
    assert WAITS.public in " ".join(mail.get_content().split())


async def test_a_server_elsewhere_gets_no_mail_without_tls(monkeypatch):
    """STARTTLS is required of every server that is not on this machine."""
    monkeypatch.setattr("participant.daemon.notices._LOOPBACK", frozenset())
    async with smtp_server() as (port, mails):
        with pytest.raises(SMTPException):
            await Mail(f"smtp://127.0.0.1:{port}", "secagg@a.example", ("o@a.example",)).send(Notice((WAITS,)))
    assert mails == []


async def test_a_webhook_gets_json_and_a_refusal_is_a_failure():
    got: list[dict] = []

    async def hook(request: web.Request) -> web.Response:
        got.append(await request.json())
        return web.Response(status=204 if len(got) > 1 else 503)

    app = web.Application()
    app.router.add_post("/officers", hook)
    async with TestServer(app) as server:
        notices = OfficerNotices([Webhook(str(server.make_url("/officers")))])
        await notices.send([WAITS], NOW)
        await notices.send([WAITS], NOW + EVERY_S)
        await notices.send([WAITS], NOW + 2 * EVERY_S)
    assert len(got) == 2
    assert got[1]["waits"][0]["run"] == str(WAITS.run)


def test_settings_name_the_channels_and_hide_their_addresses():
    both = ParticipantConfig(
        notify_smtp="smtps://u:canary@mail.example", notify_from="a@a.example", notify_to=("o@a.example",),
        notify_webhook="https://chat.example/canary",
    )  # fmt: skip
    found = channels_of(both)
    assert [one.name for one in found] == ["e-mail", "webhook"]
    assert "canary" not in repr((both, found))
    assert channels_of(ParticipantConfig()) == ()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"notify_smtp": "mail.example"}, "notify_smtp has the form"),
        ({"notify_smtp": "smtp://mail.example"}, "need notify_smtp, notify_from and notify_to"),
        ({"notify_from": "a@a.example", "notify_to": ("o@a.example",)}, "need notify_smtp, notify_from and notify_to"),
        ({"notify_webhook": "chat.example"}, "notify_webhook has the form"),
    ],
)
def test_wrong_settings_are_named(settings, said):
    with pytest.raises(ValidationError, match=said):
        ParticipantConfig(**settings)
