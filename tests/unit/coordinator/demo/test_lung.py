from pathlib import Path

import numpy as np

from coordinator.demo.lung import COLUMNS, COX, lung_by_institution, write_csv
from participant.data.store.store import DatasetStore
from participant.statistics.evaluation.evaluate import evaluate
from participant.statistics.evaluation.registry import COX_RISK_SETS
from participant.statistics.models.design import Design, Numeric
from tests.support.plain_sum import PlainSum
from tests.support.tables import import_csv
from tests.support.trials import rows


def test_nine_institutions() -> None:
    sites = lung_by_institution()
    assert len(sites) == 9
    assert min(rows(table) for table in sites.values()) >= 10
    assert sum(rows(table) for table in sites.values()) == 176
    for table in sites.values():
        assert tuple(table) == COLUMNS
        assert set(np.unique(table["status"])) <= {0.0, 1.0}
        for covariate in COX.covariates:
            values = table[covariate.column]
            assert ((values >= covariate.low) & (values <= covariate.high) | np.isnan(values)).all()


def test_the_files_hold_the_tables(tmp_path: Path) -> None:
    """From CSV through import and storage every site computes the same vector."""
    store = DatasetStore(tmp_path / "store")
    sites = lung_by_institution()
    secure_sum = PlainSum(sites)
    for site, path in write_csv(tmp_path).items():
        import_csv(store, "lung", path)
        loaded = store.load("lung", COLUMNS)
        for name in COLUMNS:
            np.testing.assert_array_equal(loaded[name], sites[site][name])
        query = COX.ask(COX_RISK_SETS, _params(), secure_sum.value_bits)
        np.testing.assert_array_equal(evaluate(query, loaded), evaluate(query, sites[site]))


def _params():
    p = len(COX.covariates)
    return COX_RISK_SETS.Params(
        outcome=COX.outcome,
        design=Design(terms=tuple((Numeric(**one.model_dump()),) for one in COX.covariates)),
        strata=(),
        beta=(0.01,) * p,
        log_weight_limit=10.0,
        at=(10, 50),
        tied=(10,),
        trend=(),
        event_ends=(),
        censored_ends=(),
        row_limit=COX.row_limit,
    )
