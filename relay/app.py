"""The relay's public entry point for tests and embedding programs; the rest of the server stays in `relay.server`."""

from relay.server.app import create_app

__all__ = ["create_app"]
