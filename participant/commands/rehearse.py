"""`secagg-participant rehearse`."""

import asyncio
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from participant.commands.options import SiteOptions
from participant.rehearsal.rehearsal import Rehearsal
from relay.api.bundle import Bundle
from relay.service.command import Commands
from secagg.errors import ParameterError

app = Commands()


@app.command("rehearse")
def rehearse(
    bundle: Annotated[Path, typer.Option(help="file that the relay's operator made for the rehearsal")],
    common: SiteOptions,
) -> None:
    """Rehearse a complete secure sum of made-up sites through the real relay; two of the sites drop out.

    The rehearsal uses this machine's connection and proxy, touches no data, key or setting of this site, and
    removes the made-up sites from the relay. The exit code is 1 if the sum differs from the plain one.
    """
    found = Bundle.read(bundle, now=time.time())
    if not found.rehearsal:
        raise ParameterError(
            "this bundle is not for a rehearsal; the relay's operator makes one with: secagg-relay token rehearsal"
        )
    with TemporaryDirectory(prefix="secagg-rehearsal-") as folder:
        ca = None if found.ca is None else Path(folder) / "ca.pem"
        if ca is not None and found.ca is not None:
            ca.write_text(found.ca, encoding="ascii")
        settings = common.settings(relay=found.relay, ca_file=ca)
        rehearsal = Rehearsal(settings.client, [token.get_secret_value() for token in found.rehearsal])
        outcome = asyncio.run(rehearsal.play())
    seconds = ", ".join(f"{step} {taken:.1f} s" for step, taken in outcome.seconds.items())
    words = (
        f"{outcome.sites} made-up sites; {outcome.lost} dropped out, one before its upload and one after it\n"
        f"the sum over {outcome.in_the_sum} sites {'equals' if outcome.equal else 'DIFFERS from'} the plain one\n"
        f"{seconds}; {outcome.bytes_sent:,} bytes"
    )
    common.report(asdict(outcome), words)
    if not outcome.equal:
        raise typer.Exit(1)
