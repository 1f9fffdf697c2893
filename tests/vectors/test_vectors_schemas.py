"""Every vector file conforms to its schema, and every schema has files."""

import json

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.vectors.files import FOLDER

SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (FOLDER / "schema").glob("*.json")}
FILES = sorted(path for path in FOLDER.rglob("*.json") if path.parent.name != "schema")
REGISTRY: Registry = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)
BYTES_IN_ALL = 2 << 20


def kind(path):
    """The schema's name: files about one thing are `kind-thing.json`, or stand in a folder `kind`."""
    return "refused" if path.parent.name == "refused" else path.stem.partition("-")[0]


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas(name):
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == f"{name}.json"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files(path):
    Draft202012Validator(SCHEMAS[kind(path)], registry=REGISTRY).validate(json.loads(path.read_text()))


def test_every_schema_is_used():
    assert {kind(path) for path in FILES} | {"common"} == set(SCHEMAS)


def test_size():
    assert sum(path.stat().st_size for path in FILES) < BYTES_IN_ALL
