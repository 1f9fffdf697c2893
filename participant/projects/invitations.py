"""Answers to invitations: whether the site can and may take part, on its whole dataset and the project's terms.

An officer's confirmation of the roster comes later and is never automatic.
"""

from participant.data.model.errors import DatasetError
from participant.data.store.store import DatasetStore
from participant.policy.rules import Offer, Policy, RefusedError
from participant.study.terms import ProjectTerms, TermsError
from relay.api.states import MemberState
from relay.client.transport import RelayClient, RelayProject
from relay.service.logs import logger

log = logger(__name__)


async def answer_invitations(relay: RelayClient, store: DatasetStore, policy: Policy) -> None:
    """Look at every open invitation and join or decline."""
    for summary in await relay.projects():
        if summary.membership is not MemberState.INVITED:
            continue
        project = await relay.project(summary.id)
        state, reason = decide(project, store, policy)
        await relay.answer(project.id, state, reason=reason)
        log.info("invitation-answered", project=project.id, name=project.name, answer=state.value, reason=reason)


def decide(project: RelayProject, store: DatasetStore, policy: Policy) -> tuple[MemberState, str]:
    """Return the answer to an invitation, and the reason of a refusal, which the coordinator will see."""
    try:
        offer = Offer(project.id, project.coordinator, ProjectTerms.decode(project.terms))
        policy.check_project(offer, store.describe(offer.terms.dataset))
    except (TermsError, RefusedError, DatasetError) as refusal:
        return MemberState.DECLINED, str(refusal)[:200]
    return MemberState.JOINED, ""
