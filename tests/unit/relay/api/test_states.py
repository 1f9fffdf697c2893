"""The tables of states equal the specification's, whose lines are parsed here."""

import itertools
import re
from pathlib import Path

from relay.api.states import FINAL_RUN, MEMBER, RUN, SITE, Cause, MemberState, RunState, SiteState
from relay.server.core.problem import KINDS
from relay.server.routes import ROUTES

SPEC = Path("specs/04-relay-api.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table that follows a heading of its header row."""
    lines = SPEC.split(heading, 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`([a-z-]+)`", cell)


def test_members_as_specified():
    specified = {
        (MemberState(before), Cause(cause), MemberState(after))
        for befores, causes, afters in rows("| member is")
        for before, cause, after in itertools.product(names(befores), names(causes), names(afters))
    }
    assert specified == MEMBER


def test_runs_as_specified():
    specified = {
        RunState(before): frozenset(map(RunState, names(afters)))
        for befores, afters in rows("| run is")
        for before in names(befores)
    }
    assert specified == RUN
    assert {state for state, after in RUN.items() if not after} == FINAL_RUN


def test_reports_as_specified():
    specified = {
        SiteState(before): frozenset(map(SiteState, names(afters)))
        for befores, afters in rows("| site is")
        for before in names(befores)
    }
    assert specified == SITE


def test_problems_as_specified():
    specified = {
        (name, int(status))
        for kinds, statuses, _ in rows("| name | status |")
        for name, status in itertools.zip_longest(
            names(kinds), statuses.split(", "), fillvalue=statuses.rsplit(", ", maxsplit=1)[-1]
        )
    }
    assert specified == {(kind.name, kind.status) for kind in KINDS}


def test_endpoints_as_specified():
    specified = set(re.findall(r"`(GET|PUT|POST|DELETE) (/[^\s`?\[]*)", SPEC))
    assert specified >= {(route.method, route.path) for route in ROUTES}
    assert {path for _, path in specified} - {route.path for route in ROUTES} <= {"/metrics", "/log-level"}
