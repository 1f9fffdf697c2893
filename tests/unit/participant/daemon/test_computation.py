"""A computation that fails or exceeds its limits is declined with one text, and the next one is computed."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from participant.daemon import computation
from participant.daemon.computation import FAILED, Computation
from participant.data.store.store import DatasetStore
from participant.policy.answer import answer
from participant.policy.rules import RefusedError
from participant.statistics.evaluation.bound import BoundQuery, bind
from participant.statistics.evaluation.registry import MOMENTS
from participant.statistics.models.variables import Variable
from participant.statistics.vocabulary.moments import MomentsParams
from relay.service.memory import Limits
from tests.support.tables import import_csv

KEY = bytes(32)
SECONDS = 2.0


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    made = DatasetStore(tmp_path / "datasets")
    (tmp_path / "t.csv").write_text("age\n" + "".join(f"{40 + i}\n" for i in range(30)))
    import_csv(made, "lung", tmp_path / "t.csv")
    return made


@pytest.fixture
def there() -> Iterator[Computation]:
    with Computation(Limits(memory_mib=192, minutes=SECONDS / 60)) as made:
        yield made


def question(dataset: str = "lung", column: str = "age") -> BoundQuery:
    variables = (Variable(column=column, low=0, high=120),)
    params = MomentsParams(variables=variables, row_limit=10_000_000)
    return bind(MOMENTS.query(params, dataset=dataset, value_bits=20, minimum_persons=5))


def asked(there: Computation, store: DatasetStore, bound: BoundQuery, earlier: Any = ()) -> Any:
    return asyncio.run(there.answer(bound, store.root, earlier, KEY, None))


def blocked(store: DatasetStore) -> Path:
    """Make the table one that nobody can read to its end; return its place."""
    data = store.folder("lung") / "data.parquet"
    data.rename(data.with_suffix(".whole"))
    os.mkfifo(data)
    return data


def test_an_answer_is_that_of_the_same_function_here(there: Computation, store: DatasetStore) -> None:
    here = answer(question(), store, (), KEY)
    for earlier in ((), here.to_remember):
        made = asked(there, store, question(), earlier)
        assert made.vector.tobytes() == here.vector.tobytes()
        assert (made.query, made.rows, made.moved) == (here.query, here.rows, here.moved)
        assert made.to_remember == here.to_remember


def test_a_refusal_on_public_grounds_says_which(there: Computation, store: DatasetStore) -> None:
    with pytest.raises(RefusedError, match="or lacks them: weight"):
        asked(there, store, question(column="weight"))


def test_what_takes_too_long_is_ended(there: Computation, store: DatasetStore) -> None:
    data = blocked(store)
    with pytest.raises(RefusedError, match=f"^{FAILED}$"):
        asked(there, store, question())
    data.with_suffix(".whole").rename(data)
    assert asked(there, store, question()).moved == 0


def test_what_needs_too_much_memory_is_ended(there: Computation, store: DatasetStore, tmp_path: Path) -> None:
    (tmp_path / "large.csv").write_text("age\n" + "41\n" * 9_000_000)
    import_csv(store, "large", tmp_path / "large.csv")
    with pytest.raises(RefusedError, match=f"^{FAILED}$"):
        asked(there, store, question("large"))
    assert asked(there, store, question()).moved == 0


def test_a_process_that_ended_meanwhile_is_replaced(there: Computation, store: DatasetStore) -> None:
    there.warm()
    there._process.kill()
    there._process.wait()
    assert asked(there, store, question()).moved == 0


def test_a_cancelled_computation_ends_its_process(there: Computation, store: DatasetStore) -> None:
    blocked(store)
    there.warm()
    process = there._process

    async def cancelled() -> None:
        task = asyncio.create_task(there.answer(question(), store.root, (), KEY, None))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(cancelled())
    assert process.poll() is not None
    assert there._process is None


class Panic(BaseException):
    """What a library raises that is no Exception."""


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("age of patient 7"),
        MemoryError(),
        OSError("weights of patient 7"),
        np.linalg.LinAlgError("x"),
        RecursionError(),
        SystemExit(3),
        Panic(),
    ],
)
def test_whatever_a_computation_raises_comes_back_as_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException
) -> None:
    def failing(*_: Any) -> None:
        raise error

    monkeypatch.setattr(computation, "answer", failing)
    request = {
        "query": question().encode().decode(),
        "datasets": str(tmp_path),
        "earlier": [],
        "key": "",
        "version": None,
    }
    said, data, is_sound = computation._outcome(request)
    assert list(said) == ["failed"]
    assert data == b""
    assert is_sound is isinstance(error, Exception)
