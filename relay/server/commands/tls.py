"""`secagg-relay tls`: certificates of a private authority."""

from pathlib import Path
from typing import Annotated

import typer

from relay.server.commands import authority
from relay.service.command import AsJson, Commands, report

app = Commands(name="tls", no_args_is_help=True, help="Create a private authority and issue its certificates.")


@app.command("init")
def tls_init(
    host: Annotated[
        list[str], typer.Option(help="name or address under which clients reach the relay; may be repeated")
    ],
    folder: Annotated[Path, typer.Option(help="folder for the files, private to this user")] = Path("tls"),
    days: Annotated[int, typer.Option(min=1, help="how long the relay's certificate is valid")] = 365,
    as_json: AsJson = False,
) -> None:
    """Create a private authority and the relay's certificate. Clients get ca.pem; keep ca.key offline."""
    _report_files(authority.init(folder, host, days=days), as_json=as_json)


@app.command("issue")
def tls_issue(
    name: Annotated[str, typer.Argument(help="name of the certificate and its files; `relay` renews the relay's")],
    host: Annotated[list[str] | None, typer.Option(help="host of a relay's certificate; omit for a client's")] = None,
    folder: Annotated[Path, typer.Option(help="folder of the authority")] = Path("tls"),
    days: Annotated[int, typer.Option(min=1, help="how long it is valid")] = 365,
    as_json: AsJson = False,
) -> None:
    """Issue another certificate: renew the relay's, or create a client's (mutual TLS)."""
    _report_files(authority.issue(folder, name, host or [], days=days), as_json=as_json)


def _report_files(files: list[Path], *, as_json: bool) -> None:
    report({"files": [str(path) for path in files]}, "\n".join(map(str, files)), as_json=as_json)
