"""The relay's face for tests and programs that embed it; everything else of the server stays inside `relay.server`."""

from relay.server.app import create_app

__all__ = ["create_app"]
