"""The interface as an OpenAPI 3.1 document, generated from the declarations by which it is served."""

import json
import re
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from relay.api import signing
from relay.api.wire import ProblemDocument
from relay.server.core import problem
from relay.server.core.problem import (
    BAD_ADDRESS,
    BAD_DIGEST,
    BAD_REQUEST,
    BAD_SIGNATURE,
    FORBIDDEN,
    INTERNAL,
    NONCE_REUSED,
    NOT_FOUND,
    RATE_LIMITED,
    REVOKED,
    STALE_SIGNATURE,
    STORAGE_FULL,
    TOO_LARGE,
    TOO_SLOW,
    UNAVAILABLE,
    UNKNOWN_SITE,
    UNSIGNED,
    ProblemKind,
)
from relay.server.http.access import Access
from relay.server.http.body import BYTES, JSON, Json
from relay.server.http.route import OCTETS, AnyRoute
from secagg import __version__

_EVERY = (BAD_REQUEST, BAD_ADDRESS, FORBIDDEN, TOO_LARGE, TOO_SLOW, RATE_LIMITED, INTERNAL, UNAVAILABLE)
_SIGNED = (UNSIGNED, BAD_SIGNATURE, STALE_SIGNATURE, BAD_DIGEST)
_WRITES = (NONCE_REUSED, STORAGE_FULL)

_SECURITY = {
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Signature",
        "description": (
            f"RFC 9421: label {signing.LABEL}, tag {signing.TAG}, ed25519, over "
            f"{', '.join(signing.COVERED)}, with created and nonce; keyid is the site's key"
        ),
    }
}
_PATH_PARAMETERS = {
    "project": {"type": "string", "format": "uuid"},
    "run": {"type": "string", "format": "uuid"},
    "blob": {"type": "string", "format": "uuid"},
    "message": {"type": "integer", "minimum": 1},
    "token": {"type": "integer", "minimum": 1},
    "key": {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"},
}


def refusals(route: AnyRoute) -> list[ProblemKind]:
    """Return every kind of problem that a route may answer with, sorted by status and name."""
    kinds = {*_EVERY, *route.refusals}
    if route.access is not Access.PUBLIC:
        kinds.update(_SIGNED)
    if route.access not in {Access.PUBLIC, Access.ENROLLING}:
        kinds.update({UNKNOWN_SITE, REVOKED})
    if route.writes is not None:
        kinds.update(_WRITES)
    if "{" in route.path:
        kinds.add(NOT_FOUND)
    return sorted(kinds, key=lambda kind: (kind.status, kind.name))


def encode(routes: Iterable[AnyRoute]) -> bytes:
    """Return the document as JSON."""
    return json.dumps(document(routes), indent=1).encode()


def document(routes: Iterable[AnyRoute]) -> dict[str, Any]:
    """Return the document."""
    declared = tuple(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in declared:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "secagg relay", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": _schemas(declared), "securitySchemes": _SECURITY},
    }


def _operation(route: AnyRoute) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": f"For {route.access.value}.",
        "security": [] if route.access is Access.PUBLIC else [{"signature": []}],
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {**_answers(route), **_problems(route)},
        "x-access": route.access.name,
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {route.body.media_type: {"schema": _body(route)}}}
    return operation


def _path_parameters(route: AnyRoute) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", route.path)
    return [{"name": name, "in": "path", "required": True, "schema": _PATH_PARAMETERS[name]} for name in names]


def _query_parameters(route: AnyRoute) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = TypeAdapter(route.query).json_schema()
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": rule}
        for name, rule in schema["properties"].items()
    ]


def _body(route: AnyRoute) -> dict[str, Any]:
    if isinstance(route.body, Json):
        return {"$ref": f"#/components/schemas/{route.body.model.__name__}"}
    return {"type": "string", "contentMediaType": BYTES}


def _answers(route: AnyRoute) -> dict[str, Any]:
    return {str(status): _answer(kind) for status, kind in route.answers.items()}


def _answer(kind: Any) -> dict[str, Any]:
    if kind is None:
        return {"description": "Done"}
    if kind is OCTETS:
        return {
            "description": "The bytes",
            "content": {BYTES: {"schema": {"type": "string", "contentMediaType": BYTES}}},
        }
    schema = {"type": "object"} if kind is dict else {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"description": "Done", "content": {JSON: {"schema": schema}}}


def _problems(route: AnyRoute) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {}
    for kind in refusals(route):
        by_status.setdefault(str(kind.status), []).append(kind.name)
    schema = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
    return {
        status: {"description": ", ".join(names), "content": {problem.CONTENT_TYPE: {"schema": schema}}}
        for status, names in by_status.items()
    }


def _schemas(routes: tuple[AnyRoute, ...]) -> dict[str, Any]:
    requests = {route.body.model for route in routes if isinstance(route.body, Json)}
    answers = {kind for route in routes for kind in route.answers.values() if kind not in {None, OCTETS, dict}}
    wanted: list[tuple[type[Any], Literal["validation", "serialization"]]] = [(kind, "validation") for kind in requests]
    wanted += [(kind, "serialization") for kind in (*answers, ProblemDocument)]
    ordered = sorted(wanted, key=lambda item: item[0].__name__)
    _, schema = models_json_schema(ordered, ref_template="#/components/schemas/{model}")
    return dict(schema["$defs"])
