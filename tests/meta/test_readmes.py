"""The pages' examples run as shown."""

import re
import tomllib
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coordinator.projects.projects import read_terms
from participant.analyses.catalogue import ANALYSES, parse_spec
from participant.analyses.regression.glm import GlmSpec
from participant.data.model.declaration import Declaration
from participant.data.pipeline.mapping import Mapping
from participant.data.store.documents import Paths
from participant.policy.rules import Policy
from participant.statistics import __doc__ as vocabulary
from participant.statistics.evaluation.registry import STATISTICS
from participant.study.terms import ProjectTerms
from secagg.envelope import EVERYONE
from secagg.identity import Identity, Roster
from secagg.messages import EncapsulationPackage, HeldLeaves, SharePackage
from secagg.params import Schema, Segment, ring_bits_for
from secagg.protocol.coordinator_setup import Plan, announce
from secagg.protocol.participant_round import AwaitOpen
from secagg.protocol.ring_vector import RingVector
from secagg.protocol.step import Add, Ask, Close, Keep, Learned, Publish, Send, Step, StepInputs
from secagg.protocol.table import decode_state, receive, tell
from tests.support.pages import PAGES, ROOT, blocks


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_blocks_run_in_order(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some write a file
    names: dict[str, Any] = {}
    for block in blocks(page, "python"):
        if "import torch" not in block:
            exec(compile(block, page, "exec"), names)


def test_the_state_dict_of_the_core_s_readme() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed; the example with a state dict needs it")
    (block,) = (one for one in blocks("secagg/README.md", "python") if "import torch" in one)
    exec(compile(block, "secagg/README.md", "exec"), {})


def test_the_loop_of_the_core_s_readme_carries_a_round() -> None:
    """The `Site` class that integrators are shown, in a cohort of four with a coordinator."""
    names: dict[str, Any] = {}
    exec(next(block for block in blocks("secagg/README.md", "python") if "class Site" in block), names)
    head, *members = (Identity(bytes([seed]) * 32) for seed in range(1, 6))
    roster, run = Roster.of(b"p" * 16, b"terms", head.public, (one.public for one in members)), b"r" * 16
    vectors = {one.public: np.arange(6.0) * (i + 1) for i, one in enumerate(members)}
    mail: list[tuple[bytes, bytes]] = []
    stored: dict[bytes, bytes] = {}

    def site(identity: Identity) -> Any:
        return names["Site"](
            identity,
            roster,
            run,
            compute=lambda query: vectors[identity.public],
            store=lambda state, sends: stored.__setitem__(identity.public, state),
            send=lambda frame, payload: mail.append((frame, payload)),
        )

    sites = {one.public: site(one) for one in members}
    kept: dict[type, dict[int, Any]] = {EncapsulationPackage: {}, SharePackage: {}, HeldLeaves: {}}
    steps = count(1)
    segments = (Segment(count=6, clip=64.0, step=2.0**-10),)
    schema = Schema(ring_bits=ring_bits_for(segments[0].levels, 4), mac_lanes=2, segments=segments)
    total = RingVector.zeros(schema)

    def inputs() -> StepInputs:
        rand = next(steps).to_bytes(32, "big")
        encapsulations, shares, leaves = kept.values()
        return StepInputs(identity=head, rand=rand, encapsulations=encapsulations, shares=shares, leaves=leaves)

    def deliver(step: Step) -> Any:
        """Bring the coordinator's frames to the sites and their answers back; return the coordinator's next state."""
        keep(step)
        for send in (effect for effect in step.effects if isinstance(effect, Send)):
            to = send.frame.recipient
            for key in roster.sites if to == EVERYONE else [roster.sites[to - 1]]:
                sites[key].on_frame(send.frame.encode(), b"".join(send.payload))
        state = step.state
        while mail:
            frame, payload = mail.pop(0)
            answer = receive(state, frame, inputs(), payload)
            state = answer.state
            keep(answer)
            for effect in answer.effects:
                if isinstance(effect, Add):
                    total.add(effect.vector)
        return state

    def keep(step: Step) -> None:
        for effect in step.effects:
            if isinstance(effect, Keep):
                kept[type(effect.package)][effect.site] = effect.package

    plan = Plan(roster=roster, sites=roster.sites, run=run, rounds=1, setup_deadline=10**10, expires=10**10)
    state = deliver(announce(plan, inputs()))
    events = [*[Close()] * 5, Ask(b"query", schema, 10**10), *[Close()] * 3]  # setup; round; survivors, quorum, masks
    for event in events:
        state = deliver(tell(state, event, inputs()))
    total.mask(state.masks, remove=True)
    published = tell(state, Publish(total), inputs())
    deliver(published)
    (learned,) = (effect for effect in published.effects if isinstance(effect, Learned))
    np.testing.assert_allclose(learned.total, sum(vectors.values()))
    assert all(isinstance(decode_state(stored[key]), AwaitOpen) for key in roster.sites)


def test_the_analyst_s_first_analysis_prints_what_stands_there(capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = blocks("coordinator/README.md", "python")
    exec(compile(first, "coordinator/README.md", "exec"), {})
    assert [capsys.readouterr().out] == blocks("coordinator/README.md", "text")


def test_the_analyst_s_examples_are_valid(tmp_path: Path) -> None:
    plan, *others = blocks("coordinator/README.md", "toml")
    path = tmp_path / "plan.toml"
    path.write_text(plan)
    assert read_terms(path).plan is not None
    terms, *analyses = map(tomllib.loads, others)
    ProjectTerms.model_validate(terms, strict=False)
    specs = [parse_spec(task) for analysis in analyses for task in analysis.get("task", [analysis])]
    assert {"cox", "kaplan-meier", "log-rank", "glm"} <= {spec.analysis for spec in specs}
    model = next(spec for spec in specs if isinstance(spec, GlmSpec))
    assert model.model()[1].names == ("1", "age", "sex[2]", "age^2")


def test_the_hospital_s_examples_are_valid() -> None:
    declaration, mapping, paths, policy = map(tomllib.loads, blocks("participant/README.md", "toml"))
    Policy.model_validate(policy, strict=False)
    Declaration.model_validate(declaration, strict=False)
    Paths.model_validate(paths, strict=False)
    types = {
        "weight": {"type": "real"},
        "sex": {"type": "category", "categories": [{"number": n, "label": "x"} for n in (1, 2)]},
    }
    definitions = [{"code": code, "label": code, **rest} for code, rest in types.items()]
    Mapping.model_validate({**mapping, "definitions": definitions}, strict=False)


def test_every_rule_of_the_policy_is_explained() -> None:
    page = (ROOT / "participant/README.md").read_text()
    assert [rule for rule in Policy.model_fields if f"`{rule}`" not in page] == []


def test_every_statistic_is_listed() -> None:
    paragraph = (
        (ROOT / "participant/README.md").read_text().partition("A query names one statistic")[2].partition(". ")[0]
    )
    assert sorted(re.findall(r"`([a-z-]+)`", paragraph)) == sorted(STATISTICS)
    assert vocabulary is not None
    _, *table = re.findall(r"^    ([a-z-]+)  ", vocabulary, re.MULTILINE)  # below its head
    assert sorted(table) == sorted(STATISTICS)


def test_the_readme_counts_statistics_and_analyses() -> None:
    assert f"- {len(STATISTICS)} statistics and {len(ANALYSES)} analyses" in (ROOT / "README.md").read_text()


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test", "check", "bench", "fuzz", "vectors"} <= targets
