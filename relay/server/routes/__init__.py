"""The relay's endpoints, one module per resource."""

from relay.server.http.route import AnyRoute
from relay.server.routes import audit, messages, operation, payloads, projects, runs, sites, tokens

ROUTES: tuple[AnyRoute, ...] = (
    *sites.ROUTES,
    *tokens.ROUTES,
    *projects.ROUTES,
    *runs.ROUTES,
    *messages.ROUTES,
    *payloads.ROUTES,
    *audit.ROUTES,
    *operation.ROUTES,
)
