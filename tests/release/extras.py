"""The promises of each extra: programs that run, and modules that import, with nothing else installed."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = "core"  # what is installed without any extra


@dataclass(frozen=True, kw_only=True)
class Extra:
    """One extra.

    Attributes:
        programs: commands that answer `--help`.
        rooms: packages of this project all of whose modules import, except those that another extra calls its own.
        own: modules and packages of this project that need this extra.
        imports: modules of others that this project imports only where it needs them.
        mode: kind of the simulated sum.
        skipped: reason why the extra is not tried, or "".
    """

    programs: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    mode: str = "masks"
    skipped: str = ""


RELAY, PARTICIPANT, COORDINATOR = "secagg-relay", "secagg-participant", "secagg-coordinator"
EXTRAS = {
    CORE: Extra(rooms=("secagg",)),
    "service": Extra(rooms=("relay.api", "relay.client", "relay.party", "relay.service")),
    "relay": Extra(programs=(RELAY,), rooms=("relay",)),
    "postgres": Extra(programs=(RELAY,), own=("relay.server.store.postgres", "relay.server.store.notices")),
    "objects": Extra(programs=(RELAY,), own=("relay.server.payloads.objects",)),
    "participant": Extra(programs=(PARTICIPANT,), rooms=("participant",)),
    "sklearn": Extra(programs=(PARTICIPANT,), own=("participant.trainers.sklearn_sgd",)),
    "torch": Extra(own=("participant.trainers.torch_mlp",), skipped="not in requirements.lock, which it would double"),
    "mongo": Extra(programs=(PARTICIPANT,), imports=("pymongo",)),
    "readstat": Extra(programs=(PARTICIPANT,), imports=("pyreadstat",)),
    "postgres-source": Extra(programs=(PARTICIPANT,), imports=("psycopg",)),
    "he": Extra(own=("secagg.he",), mode="he"),
    "coordinator": Extra(programs=(COORDINATOR,), rooms=("coordinator",)),
    "notebook": Extra(programs=(COORDINATOR,), imports=("ipywidgets", "pandas")),
    "cluster": Extra(programs=(COORDINATOR,), imports=("distributed",)),
    "demo": Extra(programs=(RELAY, PARTICIPANT, COORDINATOR), own=("coordinator.demo",)),
    "all": Extra(skipped="it is the environment of the other tests"),
}


def with_its_own(name: str) -> frozenset[str]:
    """Return the extra, the core, and every extra that this one asks for."""
    found, left = {CORE}, [name]
    while left:
        found.add(one := left.pop())
        for requirement in PROJECT["optional-dependencies"].get(one, ()):
            if asked := re.fullmatch(r"secagg\[([\w,-]+)\]", requirement):
                left += asked[1].split(",")
    return frozenset(found)


def importable(name: str, modules: list[str]) -> list[str]:
    """Return those of the wheel's modules that have to import where this extra alone is installed."""
    there = with_its_own(name)
    inside = tuple(room for one in there for room in EXTRAS[one].rooms + EXTRAS[one].own)
    outside = tuple(room for one in EXTRAS.keys() - there for room in EXTRAS[one].own)
    return [one for one in modules if _within(one, inside) and not _within(one, outside)]


def _within(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)
