"""What is searched: configurations with the properties that break in them, and for each rule a search without it.

The malicious profile's bound for n = 4, t = 3 is 2t - n - 1 = 1 colluder, so one is tolerated and two are too many.
"""

from dataclasses import dataclass, replace

from specs.model import rounds, setup
from specs.model.rounds import Rounds
from specs.model.setup import Manifest, Setup


@dataclass(frozen=True)
class Case:
    """A configuration and what breaks in it; `long` ones only run in `python -m specs.model`."""

    name: str
    model: Rounds | Setup
    broken: frozenset[str] = frozenset()
    long: bool = False


@dataclass(frozen=True)
class Removal:
    """A rule, a model, and the property that holds in it but breaks without the rule."""

    rule: rounds.Rule | setup.Rule
    model: Rounds | Setup
    broken: str

    @property
    def without(self) -> Rounds | Setup:
        """Return the model without the rule."""
        return replace(self.model, without=self.rule)


_ROUND, _SEMI_HONEST = Rounds(), Rounds(signed=False, byzantine=False)
_DEVIATING = replace(_SEMI_HONEST, byzantine=True)
_SPLIT_VIEW = frozenset({rounds.Broken.BOTH, rounds.Broken.TWO_SETS, rounds.Broken.FEW})

CASES = (
    Case("setup, n=4 t=3, nobody colludes", Setup(colluders=0)),
    Case("setup, n=4 t=3, one colludes", Setup()),
    Case(
        "setup, n=4 t=3, two collude",
        Setup(colluders=2, manifests=(Manifest.SOUND,), variants=1),
        frozenset({setup.Broken.SPLIT}),
    ),
    Case("malicious, n=4 t=3, nobody colludes", replace(_ROUND, colluders=0)),
    Case("malicious, n=4 t=3, one colludes", _ROUND),
    Case("malicious, n=4 t=3, one colludes, two rounds", replace(_ROUND, rounds=2, queries=1), long=True),
    Case("malicious, n=4 t=3, two collude", replace(_ROUND, colluders=2), _SPLIT_VIEW),
    Case("malicious, n=4 t=2, one colludes", replace(_ROUND, t=2), _SPLIT_VIEW),
    Case("malicious, n=5 t=4, two collude", replace(_ROUND, n=5, t=4, a=4, colluders=2)),
    Case("malicious, n=5 t=4, three collude", replace(_ROUND, n=5, t=4, a=4, colluders=3), _SPLIT_VIEW),
    Case("semi-honest, n=4 t=3, nobody colludes", replace(_SEMI_HONEST, colluders=0)),
    Case("semi-honest, n=4 t=3, one colludes", _SEMI_HONEST),
    Case("semi-honest, n=4 t=3, two collude", replace(_SEMI_HONEST, colluders=2), frozenset({rounds.Broken.FEW})),
    Case("semi-honest, n=4 t=3, coordinator deviates", _DEVIATING, frozenset({rounds.Broken.TWO_SETS})),
    Case(
        "semi-honest, n=5 t=3, coordinator deviates",
        replace(_DEVIATING, n=5, colluders=1),
        _SPLIT_VIEW,
    ),
)

_STILL = replace(_ROUND, queries=1, crashes=0, restores=0)  # for cases in which neither queries nor faults matter
_SMALL = Setup(manifests=(Manifest.SOUND,), variants=1)

REMOVALS = (
    Removal(rounds.Rule.QUORUM, _STILL, rounds.Broken.TWO_SETS),
    Removal(rounds.Rule.SIGNATURES, _STILL, rounds.Broken.TWO_SETS),
    Removal(rounds.Rule.ONE_STATEMENT, _STILL, rounds.Broken.TWO_SETS),
    Removal(rounds.Rule.ONE_ANSWER, _STILL, rounds.Broken.BOTH),
    Removal(rounds.Rule.ONE_SHARE, _STILL, rounds.Broken.BOTH),
    Removal(rounds.Rule.LEAST_SURVIVORS, replace(_STILL, signed=False), rounds.Broken.FEW),
    Removal(rounds.Rule.COUNTERS, _STILL, rounds.Broken.TWO_TIME),
    Removal(rounds.Rule.CONTEXT, replace(_STILL, queries=2), rounds.Broken.MIXED),
    Removal(rounds.Rule.SELF_MASK, _STILL, rounds.Broken.FEW),
    Removal(rounds.Rule.FRESH, replace(_STILL, rounds=2), rounds.Broken.BOTH),
    Removal(rounds.Rule.JOURNAL, replace(_ROUND, restores=0), rounds.Broken.TWO_TIME),
    Removal(rounds.Rule.BURNT, replace(_ROUND, crashes=0), rounds.Broken.TWO_TIME),
    Removal(setup.Rule.FLOORS, _SMALL, setup.Broken.WEAK),
    Removal(setup.Rule.ROSTER, _SMALL, setup.Broken.STRANGERS),
    Removal(setup.Rule.AUTHORS, _SMALL, setup.Broken.KEYS),
    Removal(setup.Rule.TRANSCRIPT, _SMALL, setup.Broken.SPLIT),
    Removal(setup.Rule.LIST_SIZE, _SMALL, setup.Broken.SPLIT),
    Removal(setup.Rule.JOURNAL, _SMALL, setup.Broken.TWO_FRAMES),
)
