"""Recipe 26: bytes are never code. No package contains anything that could run them, and a canary stays silent."""

import ast
import pickle  # noqa: TID251 makes what nobody may load
from pathlib import Path

import pytest

from secagg.errors import DecodeError, FaultyCoordinatorError, FaultyParticipantError, ProtocolError
from secagg.messages import MESSAGES, Cohort, EncapsulationPackage, Encapsulations, SharePackage
from secagg.protocol.table import decode_state
from tests.support.playbook import at

ROOT = Path(__file__).parents[2]
MODULES = [path for name in ("secagg", "relay", "participant", "coordinator") for path in (ROOT / name).rglob("*.py")]
LOADERS = {"pickle", "dill", "cloudpickle", "joblib", "jsonpickle", "marshal", "shelve", "yaml", "torch", "importlib"}
CALLS = {"eval", "exec", "compile", "__import__"}
LOCAL = {
    "coordinator/__init__.py": ["importlib"],  # its public names, loaded when they are asked for
    "coordinator/report/page.py": ["importlib.metadata"],  # which versions made a page
    "coordinator/session/progress.py": ["importlib.util"],  # whether a notebook can draw bars
    "participant/data/sources/database.py": ["importlib.util"],  # whether a driver is installed
    "participant/statistics/models/special.py": ["importlib"],  # one module of SciPy, at the first computation
    "participant/statistics/models/trainer.py": ["importlib.metadata"],  # a query names an installed trainer
    "participant/trainers/torch_mlp.py": ["torch"],  # trains; loads nothing
    "relay/service/command.py": ["importlib"],  # a command of its program's own table, when it is called
    "secagg/he/__init__.py": ["importlib", "importlib.util"],  # its own modules by name; whether an extra is installed
    "secagg/kernels/__init__.py": ["importlib"],  # its own modules by name, when they are asked for
}
"""What looks like loading, and runs nothing that came from outside."""


def loads_code(source: str) -> list[str]:
    """Return the names in a module by which bytes could become code, or a name on the wire a type."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in LOADERS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in LOADERS:
            found.append(str(node.module))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            found.append(node.func.id)
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found.append(node.arg)
    return found


def test_no_module_loads_code():
    assert len(MODULES) > 80
    found = {path.relative_to(ROOT).as_posix(): loads_code(path.read_text()) for path in MODULES}
    assert {path: names for path, names in found.items() if names} == LOCAL


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from torch import load", "eval(x)", "import importlib", "np.load(f, allow_pickle=True)"],
)
def test_the_search_finds_what_loads_code(source):
    assert loads_code(source)


class Canary:
    """What runs when it is unpickled."""

    sung = False

    def __reduce__(self):
        return setattr, (Canary, "sung", True)


CANARY = pickle.dumps(Canary())


def test_the_canary_sings():
    pickle.loads(CANARY)
    assert Canary.sung
    Canary.sung = False


def test_a_pickle_is_no_frame_no_message_no_payload_and_no_state():
    play = at(Cohort)
    with pytest.raises(DecodeError):
        play.parties[1].receive_bytes(CANARY, b"")
    with pytest.raises(FaultyCoordinatorError):
        play.parties[1].receive_bytes(play.resign(play.frame(Cohort), CANARY).encode(), b"")
    play = at(Encapsulations)
    play.refuses(0, play.forge(Encapsulations, 2, payload=CANARY), FaultyParticipantError, "V-0606", blames=2)
    for record in (*MESSAGES.values(), EncapsulationPackage, SharePackage):
        with pytest.raises(ProtocolError):
            record.decode(CANARY)
    with pytest.raises(ProtocolError):
        decode_state(CANARY)
    assert not Canary.sung
