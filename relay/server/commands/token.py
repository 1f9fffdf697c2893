"""`secagg-relay token`: join tokens, one for each site that enrols."""

import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from relay.api.bundle import Bundle
from relay.api.states import Role
from relay.api.tokens import token_state
from relay.server.commands.options import RelayOptions
from relay.server.registry import join_tokens
from relay.server.store import tokens
from relay.server.store.offline import on_database
from relay.service.command import Commands
from relay.service.dates import utc
from secagg.errors import ParameterError

app = Commands(name="token", no_args_is_help=True, help="Join tokens; each enrols one site.")


@app.command("create")
def create(
    label: Annotated[str, typer.Option(help="whom the token is for; shown in the list")],
    common: RelayOptions,
    role: Annotated[Role, typer.Option(help="role of the key that it enrols")] = Role.SITE,
    ttl: Annotated[str, typer.Option(help="how long it is valid: 30m, 12h, 7d")] = "7d",
    bundle: Annotated[
        Path | None, typer.Option(help="write it to a bundle file for the site, with the relay's address")
    ] = None,
    address: Annotated[str | None, typer.Option(help="for the bundle: the relay's address, https://...")] = None,
    ca: Annotated[
        Path | None, typer.Option(help="for the bundle: certificates of a private authority (ca.pem)")
    ] = None,
) -> None:
    """Create a join token. It is shown only here, or written into a bundle; the relay stores only its hash."""
    now = time.time()
    expires = now + _seconds(ttl)
    if (bundle is None) != (address is None) or (ca is not None and bundle is None):
        raise ParameterError("a bundle needs --bundle FILE and --address https://..., and optionally --ca FILE")
    draft = None if bundle is None or address is None else _draft(bundle, address, ca, label, expires)
    number, text = on_database(
        common.settings(),
        lambda db: join_tokens.create(db, role=role, label=label, now=now, expires=expires),
        create=True,
    )
    facts = {"id": number, "role": role.value, "label": label, "expires": expires}
    if bundle is not None and draft is not None:
        draft.model_copy(update={"token": SecretStr(text)}).write(bundle)
        words = f"{bundle}: for {label} only, valid until {utc(expires)}; whoever uses it first is enrolled"
        common.report(facts | {"bundle": str(bundle)}, words)
        return
    facts["token"] = text
    common.report(facts, f"{text}\n(number {number}, role {role.value}, valid until {utc(expires)})")


@app.command("rehearsal")
def rehearsal(
    bundle: Annotated[Path, typer.Option(help="the file to write; it must not exist")],
    address: Annotated[str, typer.Option(help="the relay's address, https://...")],
    common: RelayOptions,
    sites: Annotated[int, typer.Option(min=7, max=50, help="number of made-up sites in the rehearsal")] = 7,
    ca: Annotated[Path | None, typer.Option(help="certificates of a private authority (ca.pem)")] = None,
    ttl: Annotated[str, typer.Option(help="how long it is valid: 30m, 12h, 7d")] = "1d",
) -> None:
    """Create a bundle for secagg-participant rehearse, with made-up sites that leave the relay afterwards."""
    now = time.time()
    expires = now + _seconds(ttl)
    draft = _draft(bundle, address, ca, "rehearsal", expires)

    def work(db: Connection) -> list[str]:
        roles = [Role.COORDINATOR, *[Role.SITE] * sites]
        return [join_tokens.create(db, role=role, label="rehearsal", now=now, expires=expires)[1] for role in roles]

    made = on_database(common.settings(), work, create=True)
    draft.model_copy(update={"rehearsal": tuple(map(SecretStr, made))}).write(bundle)
    facts = {"bundle": str(bundle), "sites": sites, "expires": expires}
    common.report(facts, f"{bundle}: one rehearsal with {sites} made-up sites, valid until {utc(expires)}")


@app.command("list")
def list_(common: RelayOptions) -> None:
    """List all join tokens: open, used, revoked and expired."""
    rows = on_database(common.settings(), tokens.all_tokens)
    now = time.time()
    listed: list[dict[str, Any]] = [
        {
            "id": row.id,
            "role": row.role,
            "label": row.label,
            "state": token_state(used=row.used, revoked=row.revoked, expires=row.expires, now=now),
            "created": row.created,
            "expires": row.expires,
            "used_by": row.used_by_name,
        }
        for row in rows
    ]
    if common.as_json:
        common.report({"tokens": listed}, "")
        return
    table = Table("number", "role", "label", "state", "expires", "used by")
    for entry in listed:
        expires = utc(entry["expires"])
        table.add_row(str(entry["id"]), entry["role"], entry["label"], entry["state"], expires, entry["used_by"] or "")
    Console().print(table)


@app.command("revoke")
def revoke(
    number: Annotated[int, typer.Argument(help="the token's number")],
    common: RelayOptions,
) -> None:
    """Revoke an unused join token."""
    on_database(common.settings(), lambda db: join_tokens.revoke_open(db, number, now=time.time()))
    common.report({"id": number, "state": "revoked"}, f"token {number} is revoked")


@app.command("rotate")
def rotate(
    number: Annotated[int, typer.Argument(help="the number of an unused token")],
    common: RelayOptions,
    ttl: Annotated[str, typer.Option(help="how long the new one is valid: 30m, 12h, 7d")] = "7d",
) -> None:
    """Revoke a join token and create another with its role and label, for example if it went to the wrong person."""
    now = time.time()
    expires = now + _seconds(ttl)

    def work(db: Connection) -> tuple[int, str]:
        row = tokens.numbered(db, number)
        join_tokens.revoke_open(db, number, now=now)
        assert row is not None  # it was revoked
        return join_tokens.create(db, role=Role(row.role), label=row.label, now=now, expires=expires)

    made, text = on_database(common.settings(), work)
    facts = {"id": made, "token": text, "expires": expires, "revoked": number}
    common.report(facts, f"{text}\n(number {made}, in place of {number}, valid until {utc(expires)})")


def _draft(file: Path, address: str, ca: Path | None, label: str, expires: float) -> Bundle:
    """Return a bundle without its tokens, which are created once everything else is validated."""
    if file.exists():
        raise ParameterError(f"{file} already exists; a bundle never overwrites a file")
    draft = Bundle(relay=address, ca=None if ca is None else ca.read_text(), label=label, expires=expires)
    draft.check(now=time.time())
    return draft


def _seconds(ttl: str) -> float:
    match = re.fullmatch(r"(\d{1,6})([mhd])", ttl)
    if match is None or int(match[1]) == 0:
        raise ParameterError(f"{ttl!r} is not a duration; use for example 30m, 12h or 7d")
    return int(match[1]) * {"m": 60, "h": 3600, "d": 86400}[match[2]]
