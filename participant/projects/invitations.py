"""Answers to invitations: whether the site can and may take part, given its whole dataset and the project's terms.

The coordinator learns how the site's policy judges the terms, which are the coordinator's own. What the site's dataset
lacks is for the site alone: it stays invited and checks again, so that an officer can first import or map the data.
Joining never confirms the roster: an officer does that later, by hand.
"""

from uuid import UUID

from participant.data.model.errors import DatasetError
from participant.data.store.store import DatasetStore
from participant.policy.rules import Offer, Policy, RefusedError, UnfitDatasetError
from participant.study.terms import ProjectTerms, TermsError
from relay.api.states import MemberState
from relay.client.transport import RelayClient, RelayProject
from relay.service.logs import logger

log = logger(__name__)


class Invitations:
    """Joins, declines, or waits for a suitable dataset; logs once what it waits for."""

    def __init__(self, relay: RelayClient, store: DatasetStore, policy: Policy) -> None:
        self._relay = relay
        self._store = store
        self._policy = policy
        self._waits: dict[UUID, str] = {}

    async def answer(self) -> None:
        """Answer every open invitation that can be answered yet."""
        for summary in await self._relay.projects():
            if summary.membership is not MemberState.INVITED:
                continue
            project = await self._relay.project(summary.id)
            state, reason = decide(project, self._store, self._policy)
            facts = {"project": project.id, "name": project.name, "reason": reason}
            if state is not MemberState.INVITED:
                await self._relay.answer(project.id, state, reason=reason)
                log.info("invitation-answered", answer=state.value, **facts)
            elif self._waits.get(project.id) != reason:
                self._waits[project.id] = reason
                log.warning("invitation-waits", **facts)


def decide(project: RelayProject, store: DatasetStore, policy: Policy) -> tuple[MemberState, str]:
    """Return the answer to an invitation and its reason.

    The coordinator sees why a site declined; only the site sees why it stays invited.
    """
    try:
        offer = Offer(project.id, project.coordinator, ProjectTerms.decode(project.terms))
        policy.check_offer(offer)
        policy.check_dataset(offer.terms, store.describe(offer.terms.dataset))
    except (UnfitDatasetError, DatasetError) as unfit:
        return MemberState.INVITED, str(unfit)
    except (TermsError, RefusedError) as refusal:
        return MemberState.DECLINED, str(refusal)[:200]
    return MemberState.JOINED, ""
