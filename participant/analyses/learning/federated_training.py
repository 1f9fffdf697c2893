"""Federated training: each site trains a model, and secure sums average the updates, round after round.

In each round, every site trains from the same weights w on its own n_i rows, with a trainer installed there
(`participant.statistics.vocabulary.training`), and sends its update u_i; with N the number of rows of all sites,

    D = sum of n_i u_i / N                                the average update, weighted by rows
    fedavg, fedprox:  w <- w + rate D
    fedadam:          m <- beta1 m + (1 - beta1) D,   v <- beta2 v + (1 - beta2) D^2,
                      w <- w + rate m / (sqrt(v) + tau)

FedProx differs at the sites: `proximal` mu adds mu / 2 |w_i - w|^2 to their objective. Loss and accuracy at w are
secure sums of the same round. Nobody sees n_i or u_i: only N and N D are disclosed, the latter up to quantisation.

Convergence: training ends after `rounds` rounds, or when the loss falls by less than the share `tolerance` of itself
(0: never). One more round then assesses the model, on the held-out rows or on all. A lost site is left out of all later
averages. After an interruption, training resumes from the sums in the journal, and another run can start from the
weights of a saved model.

Disclosure: the average update of each round. A model with many weights can memorise rows, and several rounds disclose
more than one. The terms should limit the number of rounds, and `filter` should stay empty.

    analysis = "federated-training"
    dataset = "lung"
    formula = "status ~ scale(age, 60, 10) + sex"
    numbers = [
        {column = "age", low = 18, high = 100},
        {column = "sex", low = 1, high = 2},
        {column = "status", low = 0, high = 1},
    ]
    trainer = "logistic-regression"
    settings = {steps = 5, rate = 0.1, penalty = 0.0, proximal = 0.0}
    rounds = 10
    minimum_persons = 1
    row_limit = 1000

Sources: McMahan et al. 2017, AISTATS, "Communication-efficient learning of deep networks from decentralized data"; Li
et al. 2020, MLSys, "Federated optimization in heterogeneous networks" (FedProx); Reddi et al. 2021, ICLR, "Adaptive
federated optimization" (FedAdam).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, FiniteFloat, JsonValue, ValidationError, model_validator

from participant.analyses.base.declared import check_binary, refusal, warn_of_outside
from participant.analyses.base.errors import ConvergenceError, SpecError
from participant.analyses.base.formulas import FormulaSpec
from participant.analyses.base.result import AnalysisResult
from participant.analyses.base.secure_sum import SecureSum, Sum
from participant.analyses.learning.folds import Folds
from participant.statistics.evaluation.bound import BoundQuery
from participant.statistics.evaluation.registry import TRAINING
from participant.statistics.language.layout import Array
from participant.statistics.language.query import Json, Name, Strict, in_words
from participant.statistics.models.trainer import NoTrainerError, trainer
from participant.statistics.vocabulary.training import MAX_WEIGHTS, TrainingParams

MAX_TRAINING_ROUNDS = 10_000


class Zeros(Strict):
    """All weights 0, for models whose loss has a unique minimum."""

    kind: Literal["zeros"] = "zeros"

    def first(self, size: int) -> Array:
        """Return the weights, (size,)."""
        return np.zeros(size)


class Drawn(Strict):
    """Normally distributed weights with standard deviation `scale`, determined by `seed`, for neural networks."""

    kind: Literal["drawn"] = "drawn"
    scale: FiniteFloat = Field(gt=0)
    seed: int = Field(ge=0, lt=1 << 32)

    def first(self, size: int) -> Array:
        """Return the weights, (size,)."""
        draw = np.random.default_rng(self.seed)  # noqa: TID251 - initial weights are public
        return draw.normal(0.0, self.scale, size)


class TrainedModel(Strict):
    """A trained model: its weights and their meaning.

    Attributes:
        trainer: name of the trainer.
        settings: settings of the trainer.
        names: covariates in the trainer's order.
        weights: (m,) weights.
    """

    kind: Literal["model"] = "model"
    trainer: Name
    settings: Json
    names: tuple[str, ...]
    weights: Annotated[tuple[FiniteFloat, ...], Field(min_length=1, max_length=MAX_WEIGHTS)]

    def first(self, size: int) -> Array:
        """Return the weights, (size,); raises SpecError if their number differs."""
        if size != len(self.weights):
            raise SpecError(f"the initial model has {len(self.weights)} weights; this one needs {size}")
        return np.array(self.weights)

    def write(self, path: Path) -> None:
        """Write the model to a file, as one JSON object."""
        path.write_text(self.model_dump_json() + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a model from a file, or from a run's JSON result, which contains the same members.

        Raises:
            SpecError: the file does not exist, or holds no model.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SpecError(f"the model {path} cannot be read: {error}") from None
        members = document if isinstance(document, dict) else {}
        chosen = {name: members[name] for name in cls.model_fields if name in members}
        try:
            return cls.model_validate_json(json.dumps(chosen))
        except ValidationError as error:
            raise SpecError(f"{path} holds no model: {in_words(error)}") from None


class ModelFile(Strict):
    """A saved model. The file is read at once, so that later changes to it do not affect the run."""

    kind: Literal["file"] = "file"
    path: str


def _read(start: Zeros | Drawn | TrainedModel | ModelFile) -> Zeros | Drawn | TrainedModel:
    return TrainedModel.read(Path(start.path)) if isinstance(start, ModelFile) else start


Start = Annotated[Zeros | Drawn | TrainedModel | ModelFile, Field(discriminator="kind"), AfterValidator(_read)]


class FederatedTrainingSpec(FormulaSpec):
    """A model by formula, its trainer, and the averaging of updates.

    Attributes:
        trainer: name of a trainer installed at all sites.
        settings: input for the trainer's `Settings`.
        method: `fedavg`, `fedprox` or `fedadam`.
        rounds: number of training rounds.
        rate: factor of the averaged update; 1 leaves it unchanged.
        proximal: FedProx's mu, which becomes the trainer's setting `proximal`.
        beta1, beta2, tau: parameters of FedAdam.
        clip: largest Euclidean norm of a site's update; longer ones are clipped and counted.
        loss_limit: largest mean loss that a site reports.
        tolerance: relative decrease of the loss below which training stops.
        start: initial weights; `{kind = "file", path = "model.json"}` uses those of a saved model.
        size: number of weights; None asks the trainer, which must then be installed here as well.
        held_out: folds, the first of which is held out to assess the model; None for none.
    """

    analysis: Literal["federated-training"] = "federated-training"
    trainer: Name
    settings: dict[str, JsonValue]
    method: Literal["fedavg", "fedprox", "fedadam"] = "fedavg"
    rounds: int = Field(ge=1, le=MAX_TRAINING_ROUNDS)
    rate: FiniteFloat = Field(default=1.0, gt=0)
    proximal: FiniteFloat = Field(default=0.0, ge=0)
    beta1: FiniteFloat = Field(default=0.9, ge=0, lt=1)
    beta2: FiniteFloat = Field(default=0.99, ge=0, lt=1)
    tau: FiniteFloat = Field(default=1e-3, gt=0)
    clip: FiniteFloat = Field(default=100.0, gt=0)
    loss_limit: FiniteFloat = Field(default=100.0, gt=0)
    tolerance: FiniteFloat = Field(default=0.0, ge=0, lt=1)
    start: Start = Zeros()
    size: int | None = Field(default=None, ge=1, le=MAX_WEIGHTS)
    held_out: Folds | None = None

    @model_validator(mode="after")
    def _check_method(self) -> Self:
        if (self.proximal > 0) != (self.method == "fedprox"):
            raise ValueError("proximal must be above 0 for fedprox, and 0 for all other methods")
        return self

    @property
    def local(self) -> dict[str, JsonValue]:
        """The settings of the trainer."""
        return self.settings | ({"proximal": self.proximal} if self.method == "fedprox" else {})

    def first_weights(self, names: tuple[str, ...], size: int) -> Array:
        """Return the initial weights for these covariates; raises SpecError for a saved model with others."""
        start = self.start
        assert not isinstance(start, ModelFile)  # `_read` has replaced the file by its model
        if isinstance(start, TrainedModel) and (start.trainer, start.names) != (self.trainer, names):
            raise SpecError(
                f"the initial model was trained with {start.trainer} on other covariates: {', '.join(start.names)}"
            )
        return start.first(size)

    async def analyse(self, secure_sum: SecureSum) -> "FederatedTrainingResult":
        """Run the analysis; raises the same errors as `train`."""
        return await train(self, secure_sum)


@dataclass(frozen=True, slots=True)
class RoundMetrics:
    """A model's performance on some rows; accuracy is None if the outcome is not a class."""

    rows: int
    loss: float
    accuracy: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FederatedTrainingResult(AnalysisResult):
    """The trained model and its training history.

    Attributes:
        method, trainer, settings: as in the specification.
        names: covariates in the trainer's order.
        weights: (m,) weights of the trained model.
        rounds: rows, loss and accuracy at the start of each round, over the training rows.
        assessed: the same for the trained model, over the held-out rows or all rows; None if no site has enough such
            rows.
        held_out: whether rows were held out.
        sites: names of the sites that contributed to the last round.
        warnings: caveats for the reader of the result.
    """

    analysis: ClassVar[str] = "federated-training"
    formats: ClassVar[Mapping[str, str]] = {"round": "", "rows": "d", "loss": ".6g", "accuracy": ".4f"}

    method: str
    trainer: str
    settings: Mapping[str, JsonValue]
    names: tuple[str, ...]
    weights: Array
    rounds: tuple[RoundMetrics, ...]
    assessed: RoundMetrics | None
    held_out: bool
    sites: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def model(self) -> TrainedModel:
        """The model, ready to be written to a file and to start another run."""
        return TrainedModel.model_validate_json(
            json.dumps(
                {
                    "trainer": self.trainer,
                    "settings": dict(self.settings),
                    "names": self.names,
                    "weights": self.weights.tolist(),
                }
            )
        )

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each round, and one for the trained model."""
        named = [(str(number), one) for number, one in enumerate(self.rounds, start=1)]
        named += [("trained", self.assessed)] if self.assessed else []
        return [{"round": name} | asdict(one) for name, one in named]

    @property
    def title(self) -> str:
        return "Federated training"

    def facts(self) -> dict[str, Any]:
        return {
            "Method": self.method,
            "Trainer": self.trainer,
            "Weights": len(self.weights),
            "Rounds": len(self.rounds),
            "Rows": self.rounds[-1].rows,
        }

    def notes(self) -> list[str]:
        rows = "the held-out rows" if self.held_out else "all rows"
        return [f"The trained model is {'assessed on' if self.assessed else 'not assessed for too few rows:'} {rows}."]


async def train(spec: FederatedTrainingSpec, secure_sum: SecureSum) -> FederatedTrainingResult:
    """Train the model that `spec` describes.

    Raises:
        SpecError: the formula, the number of weights and the initial model do not match.
        NoRowsError: across all sites, no row meets the filter and has all values.
        ConvergenceError: training failed at all sites.
        CodingError: the outcome is a class, and other than 0 and 1 in some rows.
    """
    federation = _Federation(spec, secure_sum)
    weights, step = federation.start(), _Step(spec)
    history: list[RoundMetrics] = []
    warnings: list[str] = []
    for number in range(1, spec.rounds + 1):
        answer = await federation.ask(weights, "train")
        _check_rows(spec, answer)
        check_binary(federation.outcome, float(answer.values["uncoded"]))
        history.append(_metrics(answer))
        warnings += _complaints(number, answer)
        beyond = answer.values["outside"]
        weights = weights + step.of(answer.values["update"] / answer.values["rows"])
        if number > 1 and _has_settled(history, spec.tolerance):
            break
    answer = await federation.ask(weights, "assess")
    check_binary(federation.outcome, float(answer.values["uncoded"]))
    return FederatedTrainingResult(
        method=spec.method,
        trainer=spec.trainer,
        settings=spec.local,
        names=federation.names,
        weights=weights,
        rounds=tuple(history),
        assessed=_metrics(answer) if answer.values["rows"] else None,
        held_out=spec.held_out is not None,
        sites=answer.sites,
        warnings=(
            *spec.warn_of_withheld(answer.values, of_model=True),
            *warn_of_outside(federation.columns, beyond),
            *warnings,
        ),
    )


class _Federation:
    """The sums over the sites at given weights."""

    def __init__(self, spec: FederatedTrainingSpec, secure_sum: SecureSum) -> None:
        self._spec = spec
        self._secure_sum = secure_sum
        self._outcome, self._design = spec.model()
        self.names = self._design.names
        self.outcome = self._outcome.column
        self.columns = (*self._design.columns, self.outcome)

    def start(self) -> Array:
        return self._spec.first_weights(self.names, self._spec.size or self._size())

    def _size(self) -> int:
        try:
            chosen = trainer(self._spec.trainer)
            settings = chosen.Settings.model_validate_json(json.dumps(self._spec.local))
        except NoTrainerError as error:
            raise SpecError(f"{error}; give the number of weights as size") from None
        except ImportError as error:
            raise SpecError(
                f"the trainer {self._spec.trainer} cannot be loaded here ({error}); give the number of weights as size"
            ) from None
        except ValidationError as error:
            raise SpecError(f"the settings of {self._spec.trainer} are invalid: {in_words(error)}") from None
        return chosen.size(len(self.names), settings)

    async def ask(self, weights: Array, purpose: Literal["train", "assess"]) -> Sum:
        return await self._secure_sum(self._query(weights, purpose))

    def _query(self, weights: Array, purpose: Literal["train", "assess"]) -> BoundQuery:
        spec = self._spec
        params = TrainingParams(
            trainer=spec.trainer,
            purpose=purpose,
            settings=spec.local,
            design=self._design,
            outcome=self._outcome,
            weights=tuple(weights.tolist()),
            clip=spec.clip,
            loss_limit=spec.loss_limit,
            row_limit=spec.row_limit,
        )
        if spec.held_out:
            columns = TRAINING.columns(params)
            part = spec.held_out.training if purpose == "train" else spec.held_out.test
            spec = spec.narrowed(part(0, columns))
        return spec.ask(TRAINING, params, self._secure_sum.value_bits)


class _Step:
    """The coordinator's step from the average update; FedAdam remembers earlier updates."""

    def __init__(self, spec: FederatedTrainingSpec) -> None:
        self._spec = spec
        self._mean: Array | float = 0.0
        self._square: Array | float = 0.0

    def of(self, update: Array) -> Array:
        spec = self._spec
        if spec.method != "fedadam":
            return spec.rate * update
        self._mean = spec.beta1 * self._mean + (1 - spec.beta1) * update
        self._square = spec.beta2 * self._square + (1 - spec.beta2) * update**2
        step: Array = spec.rate * self._mean / (np.sqrt(self._square) + spec.tau)
        return step


def _check_rows(spec: FederatedTrainingSpec, answer: Sum) -> None:
    """Raise ConvergenceError if all sites failed, NoRowsError if there is nothing to train on."""
    if answer.values["rows"]:
        return
    if failed := round(float(answer.values["failed"])):
        raise ConvergenceError(f"training failed at all {failed} sites with rows; lower the trainer's rate")
    few = spec.warn_of_withheld(answer.values, of_model=True)
    raise refusal("across all sites, no row meets the filter and has all values", few)


def _metrics(answer: Sum) -> RoundMetrics:
    values = {name: float(answer.values[name]) for name in ("rows", "loss", "classified", "correct")}
    accuracy = values["correct"] / values["classified"] if values["classified"] else None
    return RoundMetrics(round(values["rows"]), values["loss"] / values["rows"], accuracy)


def _complaints(number: int, answer: Sum) -> list[str]:
    cut, failed = (round(float(answer.values[name])) for name in ("cut", "failed"))
    found = [f"round {number}: the updates of {cut} sites exceeded `clip` and were clipped"] if cut else []
    return found + ([f"round {number}: training failed at {failed} sites, which are left out"] if failed else [])


def _has_settled(history: list[RoundMetrics], tolerance: float) -> bool:
    before, now = history[-2].loss, history[-1].loss
    return tolerance > 0 and before - now <= tolerance * before
