"""The description is complete in itself and as strict as the relay."""

import json
import re

import pytest

from relay.server.core.problem import KINDS
from relay.server.http.access import Access
from relay.server.http.openapi import document, refusals
from relay.server.routes import ROUTES

DOCUMENT = document(ROUTES)
OPERATIONS = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]


def references(part):
    if isinstance(part, dict):
        yield from ([part["$ref"]] if "$ref" in part else [])
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def test_every_reference_leads_somewhere():
    schemas = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    used = set(references(DOCUMENT))
    assert used <= schemas
    assert used == schemas, "a type that nobody uses"
    json.dumps(DOCUMENT)


def test_every_endpoint_is_described_once():
    assert sorted(operation["operationId"] for operation in OPERATIONS) == sorted(route.name for route in ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_an_operation(route):
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    names = {given["name"] for given in operation["parameters"] if given["in"] == "path"}
    assert names == set(re.findall(r"{(\w+)}", route.path))
    assert operation["security"] == ([] if route.access is Access.PUBLIC else [{"signature": []}])
    assert route.access.value in operation["description"]
    assert {int(status) for status in operation["responses"]} == {
        *route.answers,
        *(kind.status for kind in refusals(route)),
    }


def test_every_kind_of_problem_is_declared_somewhere_or_everywhere():
    declared = {kind for route in ROUTES for kind in refusals(route)}
    assert {kind.name for kind in KINDS} - {kind.name for kind in declared} == {"method-not-allowed"}


def test_requests_are_closed():
    for operation in OPERATIONS:
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            if media_type == "application/json":
                name = content["schema"]["$ref"].rpartition("/")[2]
                assert DOCUMENT["components"]["schemas"][name]["additionalProperties"] is False
