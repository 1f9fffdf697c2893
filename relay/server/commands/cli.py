"""The operator's commands: `secagg-relay`, also `python -m relay`."""

import asyncio
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from relay.api.bundle import Bundle
from relay.api.states import Role
from relay.api.tokens import new_token, token_hash, token_state
from relay.server.commands import admin, doctor, sites, tls, upkeep
from relay.server.commands import audit as audit_commands
from relay.server.commands.options import AsJson, Config, Data
from relay.server.core.config import RelayConfig
from relay.server.store import audit, migrate, tokens
from relay.server.store.offline import on_database
from relay.service import logs
from relay.service.command import report, run
from secagg.errors import ParameterError

app = typer.Typer(name="secagg-relay", no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
token_app = typer.Typer(no_args_is_help=True, help="Join tokens: one enrols one site.")
app.add_typer(tls.app, name="tls")
app.add_typer(sites.app, name="site")
app.add_typer(token_app, name="token")
app.add_typer(upkeep.app)
app.add_typer(doctor.app)
app.add_typer(admin.app, name="admin")
app.add_typer(audit_commands.app, name="audit")


def main() -> None:
    """Run the command line."""
    run(app, "secagg-relay")


@app.command()
def serve(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on; 0 means any free port")] = None,
    admin_port: Annotated[int | None, typer.Option(help="port for health and metrics, on localhost")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run the relay until SIGTERM. Logs go to stderr; with --json, one line on stdout reports when it is ready."""
    from relay.server import serve  # noqa: PLC0415  # the other commands need no web server

    settings = RelayConfig.load(data=data, host=host, port=port, admin_port=admin_port, config=config)
    logs.configure("relay", level=settings.log_level)
    asyncio.run(serve.serve(settings, announce=as_json))


@app.command("migrate")
def migrate_command(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Create or upgrade the database without serving. `serve` does the same before it starts listening."""
    before = asyncio.run(migrate.prepare(RelayConfig.load(data=data, config=config)))
    words = {None: f"nothing to do: the schema is {migrate.REVISION}", "": f"created with schema {migrate.REVISION}"}
    done = words.get(before, f"upgraded from schema {before} to {migrate.REVISION}")
    report({"from": before, "to": migrate.REVISION}, done, as_json=as_json)


@app.command("move")
def move_command(
    to: Annotated[str, typer.Option(help="postgresql://user@host/name: an empty database; see also PGPASSFILE")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Copy the SQLite database of a stopped relay to PostgreSQL and compare every row; payloads stay in place."""
    from relay.server.backup import move  # noqa: PLC0415  # only PostgreSQL's users have the driver

    source = RelayConfig.load(data=data, config=config)
    moved = move.move(source, source.model_copy(update={"database": SecretStr(to)}))
    rows = sum(table.rows for table in moved)
    facts = {table.name: {"rows": table.rows, "hash": table.digest.hex()} for table in moved}
    report({"tables": facts, "rows": rows}, f"{rows} rows moved and compared; now set: database", as_json=as_json)


@app.command("openapi")
def openapi_command() -> None:
    """Print the interface as an OpenAPI 3.1 document."""
    from relay.server.http import openapi  # noqa: PLC0415
    from relay.server.routes import ROUTES  # noqa: PLC0415

    sys.stdout.write(openapi.encode(ROUTES).decode() + "\n")


@token_app.command("create")
def token_create(
    label: Annotated[str, typer.Option(help="whom the token is for; shown in the list")],
    role: Annotated[Role, typer.Option(help="what the key that it enrols may do")] = Role.SITE,
    ttl: Annotated[str, typer.Option(help="how long it is valid: 30m, 12h, 7d")] = "7d",
    bundle: Annotated[
        Path | None, typer.Option(help="write it to a bundle file for the site, with the relay's address")
    ] = None,
    address: Annotated[str | None, typer.Option(help="for the bundle: the relay's address, https://...")] = None,
    ca: Annotated[
        Path | None, typer.Option(help="for the bundle: certificates of a private authority (ca.pem)")
    ] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Create a join token. It is shown only here, or written into a bundle; the relay stores only its hash."""
    now = time.time()
    expires = now + _seconds(ttl)
    if (bundle is None) != (address is None) or (ca is not None and bundle is None):
        raise ParameterError("a bundle needs --bundle FILE and --address https://..., and optionally --ca FILE")
    draft = None if bundle is None or address is None else _draft(bundle, address, ca, label, expires)
    number, text = on_database(
        RelayConfig.load(data=data, config=config),
        lambda db: create_token(db, role=role, label=label, now=now, expires=expires),
        create=True,
    )
    facts = {"id": number, "role": role.value, "label": label, "expires": expires}
    if bundle is not None and draft is not None:
        draft.model_copy(update={"token": SecretStr(text)}).write(bundle)
        words = f"{bundle}: for {label} only, valid until {_date(expires)}; whoever uses it first is enrolled"
        report(facts | {"bundle": str(bundle)}, words, as_json=as_json)
        return
    facts["token"] = text
    report(facts, f"{text}\n(number {number}, role {role.value}, valid until {_date(expires)})", as_json=as_json)


def _draft(file: Path, address: str, ca: Path | None, label: str, expires: float) -> Bundle:
    """Return a bundle without its tokens, which are created once everything else is validated."""
    if file.exists():
        raise ParameterError(f"{file} already exists; a bundle never overwrites a file")
    draft = Bundle(relay=address, ca=None if ca is None else ca.read_text(), label=label, expires=expires)
    draft.check(now=time.time())
    return draft


@token_app.command("rehearsal")
def token_rehearsal(
    bundle: Annotated[Path, typer.Option(help="the file to write; it must not exist")],
    address: Annotated[str, typer.Option(help="the relay's address, https://...")],
    sites: Annotated[int, typer.Option(min=7, max=50, help="number of made-up sites in the rehearsal")] = 7,
    ca: Annotated[Path | None, typer.Option(help="certificates of a private authority (ca.pem)")] = None,
    ttl: Annotated[str, typer.Option(help="how long it is valid: 30m, 12h, 7d")] = "1d",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Create a bundle for secagg-participant rehearse, whose parties are made up and leave again."""
    now = time.time()
    expires = now + _seconds(ttl)
    draft = _draft(bundle, address, ca, "rehearsal", expires)

    def work(db: Connection) -> list[str]:
        roles = [Role.COORDINATOR, *[Role.SITE] * sites]
        return [create_token(db, role=role, label="rehearsal", now=now, expires=expires)[1] for role in roles]

    made = on_database(RelayConfig.load(data=data, config=config), work, create=True)
    draft.model_copy(update={"rehearsal": tuple(map(SecretStr, made))}).write(bundle)
    facts = {"bundle": str(bundle), "sites": sites, "expires": expires}
    report(facts, f"{bundle}: one rehearsal with {sites} made-up sites, valid until {_date(expires)}", as_json=as_json)


@token_app.command("list")
def token_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List all join tokens: open, used, revoked and expired."""
    rows = on_database(RelayConfig.load(data=data, config=config), tokens.all_tokens)
    now = time.time()
    listed = [
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
    if as_json:
        report({"tokens": listed}, "", as_json=True)
        return
    table = Table("number", "role", "label", "state", "expires", "used by")
    for entry in listed:
        expires = _date(entry["expires"])
        table.add_row(str(entry["id"]), entry["role"], entry["label"], entry["state"], expires, entry["used_by"] or "")
    Console().print(table)


@token_app.command("revoke")
def token_revoke(
    number: Annotated[int, typer.Argument(help="the token's number")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Revoke an unused join token."""
    on_database(RelayConfig.load(data=data, config=config), lambda db: revoke_token(db, number, now=time.time()))
    report({"id": number, "state": "revoked"}, f"token {number} is revoked", as_json=as_json)


@token_app.command("rotate")
def token_rotate(
    number: Annotated[int, typer.Argument(help="the number of an unused token")],
    ttl: Annotated[str, typer.Option(help="how long the new one is valid: 30m, 12h, 7d")] = "7d",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a join token and create another for the same role and label, such as when it went to the wrong person."""
    now = time.time()
    expires = now + _seconds(ttl)

    def work(db: Connection) -> tuple[int, str]:
        row = tokens.numbered(db, number)
        revoke_token(db, number, now=now)
        assert row is not None  # it was revoked
        return create_token(db, role=Role(row.role), label=row.label, now=now, expires=expires)

    made, text = on_database(RelayConfig.load(data=data, config=config), work)
    facts = {"id": made, "token": text, "expires": expires, "revoked": number}
    report(facts, f"{text}\n(number {made}, in place of {number}, valid until {_date(expires)})", as_json=as_json)


def create_token(db: Connection, *, role: Role, label: str, now: float, expires: float) -> tuple[int, str]:
    """Create a join token and record it in the audit log; returns its number and its text."""
    if not 1 <= len(label) <= 100 or not label.isprintable():
        raise ParameterError("a label must have 1 to 100 printable characters")
    text = new_token()
    number = tokens.add(db, hash_=token_hash(text), role=role, label=label, now=now, expires=expires)
    audit.append(db, actor=audit.OPERATOR, action="token.created", on=f"token/{number}", role=role, label=label)
    return number, text


def revoke_token(db: Connection, number: int, *, now: float) -> None:
    """Revoke a join token and record it; raises ParameterError if it does not exist or cannot be revoked."""
    if not tokens.revoke(db, number, now=now):
        raise ParameterError(f"token {number} does not exist or is no longer open; see: secagg-relay token list")
    audit.append(db, actor=audit.OPERATOR, action="token.revoked", on=f"token/{number}")


def _seconds(ttl: str) -> float:
    match = re.fullmatch(r"(\d{1,6})([mhd])", ttl)
    if match is None or int(match[1]) == 0:
        raise ParameterError(f"{ttl!r} is not a duration; use for example 30m, 12h or 7d")
    return int(match[1]) * {"m": 60, "h": 3600, "d": 86400}[match[2]]


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
