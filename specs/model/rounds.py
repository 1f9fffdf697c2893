"""Rounds of protocol 1 as a state machine: a Byzantine relay and coordinator, colluding sites, crashes and restores.

Spec: 02-protocol §6 to §8. The adversary is the network: it shows each honest site anything that it can sign, and knows
everything that was sent. Colluding sites sign anything and hold a share of every secret. What `setup` proves is assumed
here: honest members agree on the members, and only they know the keys between them.

Omitted, since the adversary gains nothing from it:
- a roster smaller than the members: fewer shares are requested;
- declining, withholding, deadlines: the adversary can simply not deliver;
- a crash that loses nothing: the restarted site repeats bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from itertools import combinations, permutations
from typing import NamedTuple

Set = tuple[int, ...]


class Rule(StrEnum):
    """The protocol's defences; without any one of them, the search must find a violation."""

    QUORUM = "an answer needs t signatures on one statement"
    SIGNATURES = "the signatures on a statement are verified"
    ONE_STATEMENT = "a site signs one statement per round"
    ONE_ANSWER = "after its answer a site accepts no other set: the row is erased"
    ONE_SHARE = "an answer has one share for each site, never both"
    LEAST_SURVIVORS = "a site accepts no set with fewer than a sites"
    COUNTERS = "a site opens a round once, and none before it"
    CONTEXT = "masks and statements are bound to the query"
    SELF_MASK = "an upload has a self-mask in addition to the pair masks"
    FRESH = "every round has its own secrets"
    JOURNAL = "the state is durable before a message leaves"
    BURNT = "a state restored from a copy is not used"


class Broken(StrEnum):
    """Properties that no reachable state may have."""

    BOTH = "both secrets of a site in a round"
    TWO_TIME = "two vectors under one key"
    TWO_SETS = "answers for two survivor sets in a round"
    FEW = "a sum over too few honest sites"
    MIXED = "a sum over answers to two queries"


class Phase(StrEnum):
    IDLE = "idle"
    UPLOADED = "uploaded"
    SIGNED = "signed"
    ANSWERED = "answered"
    ENDED = "ended"


class Machine(NamedTuple):
    """A site's state: its phase in a round, and the first round that it may still open."""

    phase: Phase = Phase.IDLE
    next_round: int = 1
    round: int = 0
    query: int = 0
    survivors: Set = ()


class Sent(NamedTuple):
    """A message from an honest site; `vector` numbers the vectors that a site masked in one round."""

    phase: Phase
    round: int
    query: int
    survivors: Set = ()
    vector: int = 0


class Site(NamedTuple):
    """An honest site: its memory, its journal, earlier states that a backup may hold, and what it has sent."""

    live: Machine = Machine()
    disk: Machine = Machine()
    past: tuple[Machine, ...] = ()
    sent: tuple[Sent, ...] = ()


class State(NamedTuple):
    """All honest sites, the remaining faults, and what an honest coordinator proposed in each round."""

    sites: tuple[Site, ...]
    crashes: int
    restores: int
    proposed: tuple[Set, ...]


@dataclass(frozen=True)
class Rounds:
    """One configuration: n sites of which the last `colluders` collude, threshold t and minimum survivors a."""

    n: int = 4
    t: int = 3
    a: int = 3
    colluders: int = 1
    signed: bool = True  # the malicious profile's Consistency and Quorum
    byzantine: bool = True  # the coordinator; if False, it shows everyone the same query and survivors
    rounds: int = 1
    queries: int = 2
    crashes: int = 2
    restores: int = 1
    without: Rule | None = None

    @property
    def honest(self) -> range:
        return range(1, self.n - self.colluders + 1)

    def has(self, rule: Rule) -> bool:
        return rule is not self.without

    def start(self) -> State:
        return State((Site(),) * len(self.honest), self.crashes, self.restores, ((),) * self.rounds)

    # What the adversary can cause ---------------------------------------------------------------------------------

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        for u in self.honest:
            yield from self._opens(state, u)
            yield from self._proposals(state, u)
            yield from self._quorums(state, u)
            yield from self._faults(state, u)

    def _opens(self, state: State, u: int) -> Iterator[tuple[str, State]]:
        """Open a round at a site in any phase; the site answers with a masked vector."""
        live, sent = state.sites[u - 1].live, state.sites[u - 1].sent
        if live.phase is Phase.ENDED:
            return
        for r in range(live.next_round if self.has(Rule.COUNTERS) else 1, self.rounds + 1):
            earlier = sum(one.phase is Phase.UPLOADED and one.round == r for one in sent)
            if earlier == 2 or (not self.byzantine and (state.proposed[r - 1] or earlier)):
                continue
            for query in range(1, self.queries + 1 if self.byzantine else 2):
                after = Machine(Phase.UPLOADED, r + 1, r, query)
                upload = Sent(Phase.UPLOADED, r, query, vector=earlier + 1)
                yield f"site {u} is shown query {query} in round {r} and uploads", self._send(state, u, after, upload)

    def _proposals(self, state: State, u: int) -> Iterator[tuple[str, State]]:
        """Show a site a set of survivors that includes it; it signs the set, or answers immediately if semi-honest."""
        live = state.sites[u - 1].live
        taking = {Phase.UPLOADED}
        if not self.has(Rule.ONE_STATEMENT):
            taking.add(Phase.SIGNED)
        if not self.has(Rule.ONE_ANSWER):
            taking.add(Phase.ANSWERED)
        if live.phase not in taking:
            return
        for survivors in self._sets(state, live):
            if u not in survivors or live.survivors == survivors:
                continue
            proposed = state.proposed
            if not self.byzantine:
                if proposed[live.round - 1] not in {(), survivors}:
                    continue
                proposed = (*proposed[: live.round - 1], survivors, *proposed[live.round :])
            phase, does = (Phase.SIGNED, "signs it") if self.signed else (Phase.ANSWERED, "answers")
            after = live._replace(phase=phase, survivors=survivors)
            message = Sent(phase, live.round, live.query, survivors)
            label = f"site {u} is shown the survivors {_named(survivors)} of round {live.round} and {does}"
            yield label, self._send(state._replace(proposed=proposed), u, after, message)

    def _sets(self, state: State, live: Machine) -> Iterator[Set]:
        """Return the sets for which the adversary has signed uploads; colluders upload in any context."""
        uploaders = {
            v
            for v in self.honest
            for one in state.sites[v - 1].sent
            if one.phase is Phase.UPLOADED and one.round == live.round
            if one.query == live.query or not self.has(Rule.CONTEXT)
        }
        there = sorted(uploaders | set(range(len(self.honest) + 1, self.n + 1)))
        least = self.a if self.has(Rule.LEAST_SURVIVORS) else 1
        return (one for size in range(least, self.n + 1) for one in combinations(there, size))

    def _quorums(self, state: State, u: int) -> Iterator[tuple[str, State]]:
        """Show a site signatures on the statement that it signed; with t of them it answers."""
        live = state.sites[u - 1].live
        if live.phase is not Phase.SIGNED:
            return
        signers = sum(self._signed(state, v, live) for v in live.survivors)
        if signers >= self.t or not self.has(Rule.QUORUM):
            after = live._replace(phase=Phase.ANSWERED)
            answer = Sent(Phase.ANSWERED, live.round, live.query, live.survivors)
            label = f"site {u} is shown {signers} signatures on {_named(live.survivors)} and answers"
            yield label, self._send(state, u, after, answer)

    def _signed(self, state: State, v: int, live: Machine) -> bool:
        if v not in self.honest or not self.has(Rule.SIGNATURES):
            return True
        queries = {live.query} if self.has(Rule.CONTEXT) else range(1, self.queries + 1)
        return any(Sent(Phase.SIGNED, live.round, q, live.survivors) in state.sites[v - 1].sent for q in queries)

    def _send(self, state: State, u: int, after: Machine, message: Sent) -> State:
        """Journal, then send. Without the rule, the disk is one step behind what was sent."""
        site = state.sites[u - 1]
        disk = after if self.has(Rule.JOURNAL) else site.live
        past = tuple(sorted({*site.past, site.live}))
        return _with(state, u, Site(after, disk, past, tuple(sorted({*site.sent, message}))))

    def _faults(self, state: State, u: int) -> Iterator[tuple[str, State]]:
        site = state.sites[u - 1]
        if state.crashes and site.live != site.disk:
            after = _with(state, u, site._replace(live=site.disk))
            yield f"site {u} crashes and continues from its journal", after._replace(crashes=state.crashes - 1)
        if state.restores and site.live.phase is not Phase.ENDED:
            backups = (Machine(Phase.ENDED),) if self.has(Rule.BURNT) else site.past
            for backup in backups:
                after = _with(state, u, site._replace(live=backup, disk=backup))
                label = f"site {u} is restored from an old backup ({backup.phase})"
                yield label, after._replace(restores=state.restores - 1)

    # What the adversary knows --------------------------------------------------------------------------------------

    def violations(self, state: State) -> Iterator[tuple[Broken, str]]:
        for r in range(1, self.rounds + 1):
            yield from self._of_round(state, r)

    def _of_round(self, state: State, r: int) -> Iterator[tuple[Broken, str]]:
        answers = {(one.query, one.survivors) for site in state.sites for one in site.sent if _answers(one, r)}
        statements = answers if self.has(Rule.CONTEXT) else {survivors for _, survivors in answers}
        if len(statements) > 1:
            yield Broken.TWO_SETS, f"round {r}: honest sites answer for {' and '.join(map(_stated, sorted(answers)))}"
        seeds = {v for v in self.honest if self._opened(state, r, v, surviving=True)}
        vaults = {v for v in self.honest if self._opened(state, r, v, surviving=False)}
        for v in seeds & vaults:
            yield Broken.BOTH, f"round {r}: self-mask seed and vault key of site {v} have {self.t} shares each"
        for u in self.honest:
            uploads = [one for one in state.sites[u - 1].sent if one.phase is Phase.UPLOADED and one.round == r]
            if len({one.query for one in uploads}) < len(uploads):
                yield Broken.TWO_TIME, f"round {r}: site {u} masks two vectors for one query"
        for summed in self._sums(state, r, seeds, vaults):
            sites = sorted({u for u, _ in summed})
            if len(sites) < max(2, self.a - self.colluders):
                yield Broken.FEW, f"round {r}: the sum over {_named(tuple(sites))} alone is revealed"
            if len({query for _, query in summed}) > 1:
                yield (
                    Broken.MIXED,
                    f"round {r}: the sum over {_named(tuple(sites))} is revealed although their queries differ",
                )

    def _opened(self, state: State, r: int, v: int, *, surviving: bool) -> bool:
        """Return whether t shares are known of a site's self-mask seed, or otherwise of its vault key."""
        holders = sum(
            any(
                (v in one.survivors) == surviving or not self.has(Rule.ONE_SHARE)
                for one in site.sent
                if _answers(one, r) or (one.phase is Phase.ANSWERED and not self.has(Rule.FRESH))
            )
            for site in state.sites
        )
        return holders + self.colluders >= self.t

    def _sums(self, state: State, r: int, seeds: set[int], vaults: set[int]) -> Iterator[set[tuple[int, int]]]:
        """Return the sums of honest uploads that remain once every known mask is removed.

        Two uploads are joined by a pair mask that neither vault reveals; a mask whose other end did not upload for the
        same query hides its upload for good, as an unknown self-mask does.
        """
        uploads = {
            (u, one.query)
            for u in self.honest
            for one in state.sites[u - 1].sent
            if one.phase is Phase.UPLOADED and one.round == r
        }
        closed = set(self.honest) - vaults
        left = set(uploads)
        while left:
            part, reached = set(), [left.pop()]
            hidden = False
            while reached:
                u, query = upload = reached.pop()
                part.add(upload)
                hidden |= u not in seeds and self.has(Rule.SELF_MASK)
                for v in (closed - {u}) if u in closed else ():
                    ends = {end for end in uploads if end[0] == v and (end[1] == query or not self.has(Rule.CONTEXT))}
                    hidden |= not ends
                    reached.extend(ends & left)
                    left -= ends
            if not hidden:
                yield part

    # Symmetry ------------------------------------------------------------------------------------------------------

    def canonical(self, state: State) -> State:
        """Return the least of the states that differ only in the names of honest sites."""
        return min(
            State(
                tuple(_renamed(state.sites[u - 1], names) for u in order),
                state.crashes,
                state.restores,
                tuple(_renamed_set(one, names) for one in state.proposed),
            )
            for order, names in _namings(len(self.honest))
        )


def _answers(message: Sent, r: int) -> bool:
    return message.phase is Phase.ANSWERED and message.round == r


def _with(state: State, u: int, site: Site) -> State:
    return state._replace(sites=(*state.sites[: u - 1], site, *state.sites[u:]))


@lru_cache
def _namings(honest: int) -> tuple[tuple[Set, Set], ...]:
    """Return all orders of the honest sites, each with the new name of every old one (from position 1)."""
    orders = list(permutations(range(1, honest + 1)))
    return tuple((order, (0, *(order.index(u) + 1 for u in range(1, honest + 1)))) for order in orders)


@cache
def _renamed_set(sites: Set, names: Set) -> Set:
    return tuple(sorted(names[u] if u < len(names) else u for u in sites))


@cache
def _renamed(site: Site, names: Set) -> Site:
    live, disk, *past = (one._replace(survivors=_renamed_set(one.survivors, names)) for one in (*site[:2], *site.past))
    sent = (one._replace(survivors=_renamed_set(one.survivors, names)) for one in site.sent)
    return Site(live, disk, tuple(sorted(past)), tuple(sorted(sent)))


def _named(sites: Set) -> str:
    return "{" + ", ".join(map(str, sites)) + "}"


def _stated(statement: tuple[int, Set]) -> str:
    return f"{_named(statement[1])} (query {statement[0]})"
