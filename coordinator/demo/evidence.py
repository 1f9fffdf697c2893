"""Collects the demonstration's secrets from the parties' own folders, to search the relay for them."""

import base64
import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coordinator.demo.canaries import Canary, of_secret, of_vector
from coordinator.demo.stage import Stage
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.language.statistic import Columns
from relay.party import keystore
from relay.party.journal import Journal
from secagg.params import Schema
from secagg.protocol.coordinator_round import Prepared
from secagg.protocol.participant_round import AwaitOpen, ParticipantInRound
from secagg.protocol.table import decode_state

PLANTED = "canary"  # a column of every dataset, whose values no query uses


def canaries(stage: Stage, tables: Mapping[str, Columns], run: dict[str, Any]) -> Iterator[Canary]:
    """Yield what the relay must never hold: vectors of every round, planted values, keys, passphrases, tokens."""
    yield from _vectors(tables, run)
    for hospital in stage.hospitals:
        yield from _planted(hospital.name, hospital.table)
        yield from _keys(hospital.name, hospital.folder, hospital.passphrase)
    yield from _keys("coordinator", stage.coordinator_folder, stage.coordinator_passphrase())
    for words in stage.secrets_in_words:
        yield from of_secret("a passphrase or join token", words.encode())


def _vectors(tables: Mapping[str, Columns], run: dict[str, Any]) -> Iterator[Canary]:
    """Yield pieces of each site's vector in each round, including sites that were lost after computing theirs."""
    for entry in run["rounds"]:
        query = BoundQuery.decode(base64.b64decode(entry["query"]))
        segments = query.segments
        schema = Schema(ring_bits=entry["ring_bits"], mac_lanes=0, segments=segments)
        for site, table in tables.items():
            yield from of_vector(f"the vector of {site} in round {entry['round']}", evaluate(query, table), schema)


def _planted(name: str, table: Path) -> Iterator[Canary]:
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield from of_secret(f"a value of {name}'s dataset", row[PLANTED].encode())


def _keys(name: str, folder: Path, passphrase: str) -> Iterator[Canary]:
    """Yield a party's identity seed and the epoch's secrets that its journal still holds."""
    identity = keystore.unlock(folder / "identity.json", passphrase)
    seed = identity._key.encode()  # noqa: SLF001  # nothing else may ask an identity for its seed
    yield from of_secret(f"the identity key of {name}", seed)
    journal = Journal(folder, {})
    try:
        journal.lock()
        for machine in journal.machines():
            for secret in _secrets_of(decode_state(journal.state(machine))):
                yield from of_secret(f"an epoch secret of {name}", secret)
    finally:
        journal.close()


def _secrets_of(state: Any) -> list[bytes]:
    idle = state.idle if isinstance(state, ParticipantInRound) else state
    if isinstance(idle, AwaitOpen):
        rows = [share for row in idle.rows.values() for share in row.values()]
        return [*idle.pair_chains.values(), idle.self_chain, idle.channel_chain, idle.mac_key, *rows]
    return list(idle.channel_chains.values()) if isinstance(idle, Prepared) else []
