"""Pages that the programs write about themselves: commands, settings, the relay's interface, and what the API is."""

from collections.abc import Callable, Mapping

from generated import analyses, api, commands, interface, settings

PAGES: Mapping[str, Callable[[], str]] = {
    "docs/reference/commands/relay.md": lambda: commands.page("relay", "relay.server.commands.cli"),
    "docs/reference/commands/participant.md": lambda: commands.page("participant", "participant.commands.cli"),
    "docs/reference/commands/coordinator.md": lambda: commands.page("coordinator", "coordinator.commands.cli"),
    "docs/reference/settings.md": settings.page,
    "docs/reference/interface.md": interface.page,
    "docs/reference/api/secagg.md": api.core,
    "docs/reference/api/coordinator.md": api.notebooks,
    "docs/reference/api/analyses.md": analyses.analyses,
    "docs/reference/api/statistics.md": analyses.statistics,
}
"""By the path under which the navigation names each page."""
