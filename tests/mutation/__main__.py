"""Do the tests detect small faults? python -m tests.mutation --minutes 15 [--seed S] [--only shamir]

Draws mutants of the protocol, its messages, the codec and Shamir's scheme without repetition until the time is over,
runs the tests on each one, those that mention its module first, and prints the share detected. A mutant that passes
them all survives: a test is missing, or the fault makes no difference. Mutants that make no difference are explained
in survivors.md, and are never drawn.

A mutant is never written to disk: a fork of this process, in which nothing of `secagg` is loaded yet, imports the
faulty text in place of the module.
"""

import argparse
import ast
import importlib
import importlib.abc
import importlib.util
import multiprocessing
import os
import random  # noqa: TID251 a draw that can be repeated, not a secret
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from tests.mutation.mutants import mutants

ROOT = Path(__file__).parents[2]
SURVIVORS = Path(__file__).parent / "survivors.md"
LIMIT = 120  # seconds; a mutant that takes longer has a loop without an end

OWN_TESTS = {
    "codec": "unit/secagg/test_codec vectors/test_vectors_codec reject/test_wire meta/test_tables",
    "messages": "unit/secagg/test_messages meta/test_tables vectors/test_vectors_codec vectors/test_vectors_schemas",
    "shamir": "unit/secagg/test_shamir vectors/test_vectors_functions",
    "protocol.contribution": "unit/secagg/test_contribution",
    "protocol.coordinator_round": "reject/test_round_at_coordinator reject/test_homomorphic",
    "protocol.coordinator_setup": "reject/test_setup_at_coordinator",
    "protocol.derivations": "vectors/test_vectors_functions unit/secagg/test_derivations",
    "protocol.listing": "reject/test_sparse reject/test_setup_at_site",
    "protocol.participant_round": "reject/test_round_at_site reject/test_homomorphic",
    "protocol.participant_setup": "reject/test_setup_at_site reject/test_manifest",
    "protocol.ring_vector": "unit/secagg/test_ring_vector unit/secagg/test_contribution",
    "protocol.step": "reject/test_frames",
    "protocol.table": "meta/test_tables reject/test_frames",
}
"""The tests of each module that is mutated."""
ALL_TESTS = (
    "vectors/test_vectors_rounds reject/test_sparse reject/test_frames reject/test_manifest reject/test_setup_at_site"
    " reject/test_setup_at_coordinator reject/test_round_at_site reject/test_round_at_coordinator reject/test_wire"
    " machine/test_events machine/test_options machine/test_erasure machine/test_outside machine/test_restore"
    " machine/test_attacks machine/test_sparse machine/test_split_views machine/test_table"
)
"""The tests of the protocol as a whole that take seconds; a mutant that these pass, too, survives."""
LOADED = ("numpy", "numba", "nacl.signing", "cryptography.hazmat.primitives.ciphers.aead", "mnemonic")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Do the tests notice small faults?")
    parser.add_argument("--minutes", type=float, default=15.0, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"), help="of the draw")
    parser.add_argument("--only", default="", help="modules whose name has this in it")
    options = parser.parse_args()
    for name in LOADED:
        importlib.import_module(name)
    settings.register_profile("mutation", deadline=None, database=None, phases=[Phase.explicit, Phase.generate])
    texts = {name: (ROOT / "secagg" / f"{name.replace('.', '/')}.py").read_text() for name in OWN_TESTS}
    explained = set(re.findall(r"^- `(.+)`$", SURVIVORS.read_text(), re.MULTILINE))
    pool = [(name, make) for name, text in texts.items() if options.only in name for make in mutants(text)]
    print(f"{len(pool)} mutants, {len(explained)} explained; seed {options.seed}", flush=True)
    random.Random(options.seed).shuffle(pool)
    if is_noticed({name: ast.unparse(ast.parse(text)) for name, text in texts.items()}):
        print("the tests fail without any fault", file=sys.stderr)
        return 1
    until, outcomes = time.monotonic() + 60 * options.minutes, Counter[bool]()
    for name, make in pool:
        mutant = make()
        if f"{name} {mutant}" in explained:
            continue
        if time.monotonic() > until:
            break
        noticed = is_noticed({name: mutant.text})
        outcomes[noticed] += 1
        if not noticed:
            print(f"survived: {name} {mutant}", flush=True)
        elif outcomes[True] % 25 == 0:
            print(f"{outcomes[True]} of {outcomes.total()} noticed", flush=True)
    count = outcomes.total()
    print(f"{outcomes[True]} of {count} mutants noticed: {outcomes[True] / max(1, count):.1%}; seed {options.seed}")
    return 0


def is_noticed(texts: Mapping[str, str]) -> bool:
    """Run the tests with these texts in place of the modules', and tell whether one fails."""
    child = multiprocessing.get_context("fork").Process(target=_test, args=(texts,))
    child.start()
    child.join(LIMIT * len(texts))
    if child.is_alive():
        child.kill()
        child.join()
    return child.exitcode != 0


def _test(texts: Mapping[str, str]) -> None:
    sys.meta_path.insert(0, _Finder({f"secagg.{name}": text for name, text in texts.items()}))
    names = dict.fromkeys(" ".join([*(OWN_TESTS[name] for name in texts), ALL_TESTS]).split())
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os._exit(
        pytest.main(
            ["-x", "-p", "no:xdist", "--assert=plain", "--tb=no", "--hypothesis-profile=mutation"]
            + [f"{ROOT}/tests/{name}.py" for name in names]
        )
    )


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the faulty modules before the true ones."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts

    def find_spec(self, fullname, path, target=None):
        if fullname not in self.texts:
            return None
        return importlib.util.spec_from_loader(fullname, _Loader(self.texts[fullname]))


class _Loader(importlib.abc.InspectLoader):
    def __init__(self, text: str) -> None:
        self.text = text

    def get_source(self, _fullname: str) -> str:
        return self.text


if __name__ == "__main__":
    sys.exit(main())
