"""`secagg-relay openapi`: the interface as a document."""

import sys

from relay.server.http import openapi as document
from relay.server.routes import ROUTES
from relay.service.command import Commands

app = Commands()


@app.command("openapi")
def openapi() -> None:
    """Print the interface as an OpenAPI 3.1 document."""
    sys.stdout.write(document.encode(ROUTES).decode() + "\n")
