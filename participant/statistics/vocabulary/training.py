"""Training: the update of a model by a locally installed trainer, for federated averaging.

With w the m weights in the query, w' the weights after training (`trainer`) on the site's n complete rows, and
u = (w' - w) min(1, clip / |w' - w|), so that no site moves the model further than `clip`:

    rows       = n             ()      whole number
    update     = n u           (m,), or no entries if `purpose` is ``assess``
    loss       = n mean loss at w, at most `loss_limit` for each row       ()
    classified = rows whose outcome is a class, for this kind of model     ()      whole number
    correct    = those of them whose class w predicts correctly            ()      whole number
    cut        = sites whose update was longer than `clip`                 ()      whole number
    failed     = sites whose trainer returned NaN or infinity, and that send zeros for all else     ()    whole number
    outside    = values outside their range or levels, of each column of the design, then of the outcome; whole numbers
    uncoded    = outcomes other than 0 and 1 among the classified                   ()      whole number

The average over all rows is update / rows. For one step of gradient descent at rate 1, it is minus the gradient.
Updates are not additive over rows: their sum over sites depends on which site has which rows, and equals the pooled
update only for a single step. Loss and accuracy are additive.

A query carries the weights as text, so the limit on its size restricts m to about ten thousand.

Source: McMahan et al. 2017, AISTATS, "Communication-efficient learning of deep networks from decentralized data".
"""

from math import isfinite
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, FiniteFloat, ValidationError

from participant.statistics.language.conditions import Name
from participant.statistics.language.disclosure import Disclosure, Group, Reveals
from participant.statistics.language.from_sums import FROM_SUMS
from participant.statistics.language.layout import Arrays, Block, Layout
from participant.statistics.language.query import Json, QueryError, canonical, in_words
from participant.statistics.language.statistic import Columns, Params, Statistic
from participant.statistics.language.support import Support, common
from participant.statistics.models.design import Design, Numeric
from participant.statistics.models.model import other_than_binary
from participant.statistics.models.trainer import trainer
from secagg.errors import ParameterError

MAX_WEIGHTS = 1 << 16


class TrainingParams(Params):
    """The parameters of the update.

    Attributes:
        trainer: name of an installed trainer.
        purpose: ``train``, or ``assess`` to measure only the model's performance.
        settings: input for the trainer's `Settings`.
        design, outcome: covariates and outcome.
        weights: (m,) weights of the model.
        clip: largest Euclidean norm of a site's update.
        loss_limit: largest loss that a row contributes.
    """

    trainer: Name
    purpose: Literal["train", "assess"]
    settings: Json
    design: Design
    outcome: Numeric
    weights: Annotated[tuple[FiniteFloat, ...], Field(min_length=1, max_length=MAX_WEIGHTS), FROM_SUMS]
    clip: FiniteFloat = Field(gt=0)
    loss_limit: FiniteFloat = Field(gt=0)


class Training(Statistic[TrainingParams]):
    """Training; the module's docstring describes the blocks."""

    name = "training"
    version = 2
    Params = TrainingParams

    def columns(self, params: TrainingParams) -> tuple[str, ...]:
        return (*params.design.columns, params.outcome.column)

    def layout(self, params: TrainingParams) -> Layout:
        limit = float(params.row_limit)
        return Layout(
            (
                Block("rows", (), limit, exact=True),
                Block("update", (len(params.weights) if params.purpose == "train" else 0,), limit * params.clip),
                Block("loss", (), limit * params.loss_limit),
                Block("classified", (), limit, exact=True, few="rounded"),
                Block("correct", (), limit, exact=True, few="rounded"),
                Block("cut", (), 1.0, exact=True),
                Block("failed", (), 1.0, exact=True),
                Block("outside", (len(self.columns(params)),), limit, exact=True),
                Block("uncoded", (), limit, exact=True, few="some"),
            )
        )

    def total(self, params: TrainingParams, columns: Columns) -> Arrays:
        """Compute over all rows at once, since a trainer needs them together."""
        return self.compute(params, columns)

    def compute(self, params: TrainingParams, columns: Columns) -> Arrays:
        """Return the update.

        Raises:
            NoTrainerError: the trainer is not installed here.
            QueryError: the settings are invalid, or imply another number of weights.
        """
        chosen = trainer(params.trainer)
        try:
            settings = chosen.Settings.model_validate_json(canonical(params.settings))
        except ValidationError as error:
            raise QueryError(f"the settings of the trainer {params.trainer} are invalid: {in_words(error)}") from None
        size = chosen.size(len(params.design.names), settings)
        if size != len(params.weights):
            raise QueryError(f"this model has {size} weights, but the query gives {len(params.weights)}")
        old, (values, outside) = np.array(params.weights), params.outcome.coded(columns)
        outcome, beyond = values[0], outside[params.outcome.column]
        rows = len(outcome)
        nothing = {block.name: np.zeros(block.shape) for block in self.layout(params).blocks}
        if not rows:
            return nothing
        coded = params.design.coded(columns)
        z = coded.z.T
        loss, correct = chosen.assess(old, z, outcome, settings)
        new = chosen.train(old, z, outcome, settings) if params.purpose == "train" else old
        if new.shape != old.shape:
            raise ParameterError(
                f"the trainer {params.trainer} returned weights of shape {new.shape} instead of {old.shape}"
            )
        if not (isfinite(loss) and np.isfinite(new).all()):
            return nothing | {"failed": np.array(1.0)}
        update = new - old
        length = float(np.linalg.norm(update))
        return {
            "rows": np.array(float(rows)),
            "update": rows * update[: nothing["update"].size] * min(1.0, params.clip / length if length else 1.0),
            "loss": np.array(rows * min(max(loss, 0.0), params.loss_limit)),
            "classified": np.array(0.0 if correct is None else float(rows)),
            "correct": np.array(float(min(max(correct or 0, 0), rows))),
            "cut": np.array(float(length > params.clip)),
            "failed": np.array(0.0),
            "outside": np.append(params.design.count_outside(coded), np.count_nonzero(beyond)),
            "uncoded": np.array(0.0 if correct is None else other_than_binary(params.outcome, columns)),
        }

    def support(self, params: TrainingParams, columns: Columns) -> Support:
        """Return the groups of covariates and outcome; what a row contributes is known to the trainer alone."""
        groups = np.concatenate([params.design.groups(columns), params.outcome.groups(columns)])
        return Support.of_sums(params.design.raw(columns))._replace(persons=common(groups))

    def persons(self, params: TrainingParams, columns: Columns) -> int:
        return params.design.persons(columns)

    def parameters(self, params: TrainingParams) -> int:
        return min(len(params.weights), len(params.design.names))

    def disclosure(self, params: TrainingParams) -> Disclosure:
        model = f"{params.outcome.names[0]} by {', '.join(params.design.names)}"
        tells = (
            f"How the trainer {params.trainer} changes {len(params.weights)} weights of a model of {model}, and how "
            "good it was before: loss and accuracy, averaged over the complete rows of all sites that meet the filter. "
            "A model with many weights can memorise single rows, and many rounds disclose more than one; the sum hides "
            "whose they are, not what they are."
            if params.purpose == "train"
            else f"Loss and accuracy of a model of {model}, over the complete rows of all sites that meet the filter."
        )
        return Disclosure(
            tells=tells,
            groups=(
                Group(
                    blocks=("rows", "update", "loss", "classified", "correct", "outside", "uncoded"),
                    people="complete rows that meet the filter",
                    reveals=Reveals.VALUES,
                    one_person=False,
                ),
            ),
            minimum_rows=50,
        )
