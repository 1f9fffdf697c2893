"""Learning from rows beside scikit-learn, and beside the plain methods in numpy."""

import numpy as np
from scipy.special import expit

from coordinator.analyses import FederatedTrainingSpec
from coordinator.pooled import pooled
from participant.statistics import Variable
from tests.oracles.case import Agreement, Sites, case, coefficients
from tests.oracles.data import sites_of

AGE = Variable(column="age", low=18, high=100)
PLAIN = {"row_limit": 1000, "minimum_persons": 1}


def training(dataset: str, event: str) -> FederatedTrainingSpec:
    return FederatedTrainingSpec(
        dataset=dataset,
        formula=f"{event} ~ scale(age, 60, 10)",
        numbers=(AGE, Variable(column=event, low=0, high=1)),
        trainer="logistic-regression",
        settings={"steps": 4, "rate": 0.2, "penalty": 0.0, "proximal": 0.0},
        rounds=6,
        **PLAIN,
    )


@case(training("lung", "status"), training("gbsg2", "cens"))
async def federated_averaging(spec: FederatedTrainingSpec, sites: Sites) -> list[Agreement]:
    """FedAvg in the open: each site's steps from the same weights, averaged by its rows."""
    count = len(sites.tables)
    result = await spec.analyse(sites)
    event, weights, losses = spec.numbers[1].column, np.zeros(2), []
    for number in range(spec.rounds):
        there = sites_of(spec.dataset, count)
        if number >= len(sites.queries) // 2:  # from then on a lost site is missing
            there = {name: table for name, table in there.items() if name in sites.tables}
        losses.append(_loss(weights, pooled(there.values()), event))
        after = [_descended(weights, table, event) for table in there.values()]
        weights = np.average(after, axis=0, weights=[len(table[event]) for table in there.values()])
    return [
        coefficients(result.weights, weights, "weights, FedAvg"),
        coefficients([one.loss for one in result.rounds], losses, "loss curve, FedAvg"),
    ]


def _loss(weights, table, event) -> float:
    eta = weights[0] + weights[1] * (table["age"] - 60) / 10
    return float((np.logaddexp(0, eta) - table[event] * eta).mean())


def _descended(weights, table, event):
    z = np.column_stack([np.ones(len(table["age"])), (table["age"] - 60) / 10])
    for _ in range(4):
        weights = weights - 0.2 * z.T @ (expit(z @ weights) - table[event]) / len(z)
    return weights
