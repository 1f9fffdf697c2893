"""The relay's endpoints, a module for each resource."""

from relay.route import Route
from relay.routes import messages, operation, payloads, projects, runs, sites

ROUTES: tuple[Route, ...] = (
    *sites.ROUTES,
    *projects.ROUTES,
    *runs.ROUTES,
    *messages.ROUTES,
    *payloads.ROUTES,
    *operation.ROUTES,
)
