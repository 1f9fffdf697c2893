"""Checks what must hold before this site answers a query or signs a set of survivors.

Every decision rests on public facts or the site's own records: terms, manifest, query, clock, ledger, and officers'
decisions. Nothing here looks at a patient's row, so neither a refusal nor a wait discloses anything about one (pitfall
31 of `specs/00-threat-model.md`). The exception is a policy that chooses to refuse near answers rather than adjust them
(`near_answers`).
"""

import time
from dataclasses import dataclass
from typing import NamedTuple

from participant.daemon.epoch import RunContext, survivors_of
from participant.policy.answer import Answer
from participant.policy.differencing import AnsweredRows, SignedSet, set_apart, too_near
from participant.policy.rules import NO_OTHER_SET, AskedQuery, Policy, RefusedError
from participant.records.decisions import Decisions, Waiting, subject_of_query, subject_of_set
from participant.records.ledger import Ledger
from participant.records.standing import ProposedSet, StandingApprovals
from participant.statistics.evaluation.bound import BoundQuery
from participant.study.replay import Occurrence
from relay.service.dates import utc
from secagg.params import LossRule
from secagg.protocol.participant_round import AwaitConfirmation, AwaitVector


class Signature(NamedTuple):
    """A set of survivors may be signed, by the standing approval of this number or without one."""

    standing: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseControl:
    """Applies the site's policy to its records."""

    policy: Policy
    ledger: Ledger
    records: AnsweredRows
    decisions: Decisions
    standing: StandingApprovals

    def query(
        self, bound: BoundQuery, context: RunContext, state: AwaitVector, now: float, task: Occurrence | None
    ) -> Waiting | None:
        """Return why a query has to wait, or None if it may be answered now.

        Args:
            bound: the query.
            context: its run.
            state: state of the site in the round.
            now: current time, seconds since 1970.
            task: the plan's task that it belongs to, or None without a plan.

        Raises:
            RefusedError, TermsError: the query is refused.
        """
        query = bound.query
        used = self.ledger.releases(context.project, query.dataset, self.policy.budget.since(now))
        self.policy.check_query(AskedQuery(bound, context.offer, used, now, state.current.deadline))
        decided = self.decisions.of_query(context.run, query)
        if decided is False:
            raise RefusedError("an officer of this site denied the request")
        begins = self.policy.opens(now)
        rules, words = [], []
        if self.policy.approve_first and decided is None:
            rules.append("approve_first")
            words.append("an officer must approve the run's questions before this site answers")
        if context.terms.plan is None and self.policy.without_plan == "ask" and decided is None:
            rules.append("without_plan")
            words.append(
                "the project has no study plan, so its coordinator may choose each question by the answers before it; "
                "an officer must approve what this run asks"
            )
        if begins > now:
            rules.append("schedule")
            words.append(f"this site's schedule allows computing again at {utc(begins)}")
        if not rules:
            return None
        return Waiting(
            run=context.run,
            project=context.project,
            round=state.current.round,
            subject=subject_of_query(query),
            rules=tuple(rules),
            words="; ".join(words),
            public=str(RefusedError("; ".join(words), *rules)),
            deadline=state.current.deadline,
            query=query,
            tasks=() if task is None else tuple(sorted(task.names)),
        )

    def answer(self, made: Answer) -> None:
        """Raise RefusedError for an answer whose rows were adjusted, if the policy refuses near answers."""
        if made.moved and self.policy.near_answers == "refuse":
            raise RefusedError(
                "the rows differ from those of an earlier answer by fewer persons than the query's floor; ask about "
                "the same rows (for example by requiring complete columns), or about rows that differ by more",
                "near_answers",
            )

    def survivors(self, context: RunContext, state: AwaitConfirmation) -> "Waiting | Signature":
        """Return why signing a set of survivors has to wait, or by what right it may be signed now.

        Raises:
            RefusedError: the set is refused.
        """
        keys, manifest = survivors_of(state), state.membership.manifest
        subject = subject_of_set(keys)
        decided = self.decisions.of(context.run, subject)
        if decided is False:
            raise RefusedError("an officer of this site denied the request")
        rules, words, public = [], [], []
        lost = set(state.idle.survivors) - set(state.survivors)
        if lost and manifest.loss_rule is not LossRule.CONTINUE:
            rules.append("loss_rule")
            words.append(f"sites lost: {len(lost)}")
            public.append(f"the sum is without {_sites(len(lost))} lost in this run")
        signed = set(self.ledger.survivors(context.run))
        shrinks = manifest.loss_rule is LossRule.CONTINUE and set(keys) < signed
        least = self.policy.least_difference(manifest, context.terms)
        earlier = self.records.signed_sets(context.terms.dataset)
        near = too_near(frozenset(keys), earlier, least)
        few = 0 if near or shrinks or least == NO_OTHER_SET else set_apart(frozenset(keys), earlier, least)
        if near and not shrinks:
            rules.append("minimum_site_difference")
            words.append(_why_too_near(near[0], frozenset(keys), least))
            public.append(_why_too_near_in_public(near[0], frozenset(keys), least))
        if few:
            rules.append("minimum_site_difference")
            public.append(
                f"with earlier sums of the dataset, its sum would tell {_sites(few)} apart from all others; at least "
                f"{least} are required"
            )
            words.append(public[-1])
        if not rules:
            return Signature()
        if self.policy.loss_rule == "abort":  # even if an officer approved it under an earlier policy
            raise RefusedError("; ".join(public), *rules)
        if decided:
            return Signature()
        proposed = ProposedSet(
            dataset=context.terms.dataset,
            keys=frozenset(keys),
            roster=self._roster(context),
            lost=frozenset(manifest.sites[site - 1] for site in lost),
            near=tuple(one.keys for one in near),
        )
        is_bounded = not few and not context.terms.pooled  # otherwise a difference could tell persons
        if is_bounded and (approval := self.standing.for_set(proposed, context.run, time.time())) is not None:
            return Signature(approval.number)
        return Waiting(
            run=context.run,
            project=context.project,
            round=state.current.round,
            subject=subject,
            rules=tuple(rules),
            words="; ".join(words),
            public=str(RefusedError(f"an officer must decide: {'; '.join(public)}", *rules)),
            deadline=state.current.deadline,
            sites=keys,
        )

    def _roster(self, context: RunContext) -> frozenset[bytes]:
        confirmed = self.ledger.confirmed(context.project)
        return frozenset() if confirmed is None else frozenset(confirmed.roster.sites)


def _why_too_near(near: SignedSet, keys: frozenset[bytes], least: int) -> str:
    """Return why a set of sites is too near to one that this site signed."""
    if differ := len(near.keys ^ keys):
        return (
            f"the set differs from one of run {near.run} by {_sites(differ)}, {_required(least)}: the two sums would "
            "reveal the difference"
        )
    return (
        f"run {near.run} replaced this very set by a smaller one after a loss: another sum over all of it would tell "
        "the sum of the sites that were lost"
    )


def _why_too_near_in_public(near: SignedSet, keys: frozenset[bytes], least: int) -> str:
    """Return the same for the coordinator: the earlier sum may belong to another project, so it stays unnamed."""
    if differ := len(near.keys ^ keys):
        return f"its sites differ from those of an earlier sum of the dataset by {_sites(differ)}, {_required(least)}"
    return "a smaller set of sites replaced this one in an earlier run, after a loss"


def _required(least: int) -> str:
    if least == NO_OTHER_SET:
        return "and floors over all sites hold for no difference of two sums"
    return f"at least {least} are required"


def _sites(number: int) -> str:
    return f"{number} site{'s'[: number > 1]}"
