"""The relay's interface, from the OpenAPI document that it serves."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from generated.markdown import code, table
from relay.server.http import openapi
from relay.server.routes import ROUTES

INTRO = """\
# The relay's interface

Generated from the OpenAPI 3.1 document that every relay serves at `/v1/openapi.json`, and that `secagg-relay openapi`
prints. [The specification](../../specs/04-relay-api.md) says how requests are signed and what they mean.
"""


def page() -> str:
    """Return the page of the interface: operations by resource, then the schemas."""
    document = openapi.document(ROUTES)
    by_resource: dict[str, list[str]] = defaultdict(list)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_resource[_resource(path)] += _operation(method.upper(), path, operation)
    lines = [INTRO]
    for resource, described in by_resource.items():
        lines += [f"## {resource.capitalize()}", "", *described]
    lines += ["## Schemas", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _schema(name, schema)
    return "\n".join(lines)


def _resource(path: str) -> str:
    _, _, resource, *_ = [*path.split("/"), ""]
    return resource or "process"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {operation['summary']}\n"
    yield f"    {method} {path}\n"
    yield f"{operation['description']}\n"
    for one in operation["parameters"]:
        if one["in"] == "query":
            need = "required" if one["required"] else "optional"
            yield f"- query parameter `{one['name']}`: {_type(one['schema'])}, {need}"
    if "requestBody" in operation:
        yield f"- body: {_content(operation['requestBody'])}"
    for status, answer in sorted(operation["responses"].items()):
        if status < "400":
            yield f"- answer {status}: {_content(answer) or 'empty'}"
    problems = [answer["description"] for status, answer in sorted(operation["responses"].items()) if status >= "400"]
    yield f"- problems: {', '.join(code(name) for names in problems for name in names.split(', '))}\n"


def _content(holder: Mapping[str, Any]) -> str:
    return ", ".join(_type(content["schema"]) for content in holder.get("content", {}).values())


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"{schema.get('description', '')}\n"
    if "enum" in schema:
        yield f"One of {', '.join(code(value) for value in schema['enum'])}.\n"
    required = schema.get("required", ())
    members = schema.get("properties", {}).items()
    yield from table(
        ("member", "type", ""),
        [(code(member), _type(rule), "required" if member in required else "") for member, rule in members],
    )


def _type(rule: Mapping[str, Any]) -> str:
    if "$ref" in rule:
        name = rule["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in rule:
        return " or ".join(_type(one) for one in rule["anyOf"])
    if rule.get("type") == "array" and "items" in rule:
        return f"array of {_type(rule['items'])}"
    if rule.get("contentMediaType"):
        return "bytes"
    return str(rule.get("format") or rule.get("type") or "any value")
