"""How people name a project or run on the command line: by its ID, the beginning of its ID, or its name."""

from collections.abc import Mapping
from difflib import get_close_matches
from uuid import UUID

from secagg.errors import ParameterError

LEAST = 4  # characters of an ID that may stand for all of it
_SHOWN = 8


def designated(given: str, known: Mapping[UUID, str], kind: str, *, see: str) -> UUID:
    """Return the ID that is meant. A whole ID is returned as it is, known or not.

    Args:
        given: what was typed.
        known: names by ID; a name may be empty.
        kind: what the IDs stand for, such as `project`.
        see: command that lists them.

    Raises:
        ParameterError: nothing known is named so, or several are.
    """
    try:
        return UUID(given)
    except ValueError:
        pass
    found = [one for one, name in known.items() if name and name == given]
    if not found and len(given) >= LEAST:
        found = [one for one in known if str(one).startswith(given.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(str(one) for one in found[:_SHOWN])
        raise ParameterError(f"{len(found)} {kind}s are called {given!r}; use the ID of one: {several}")
    near = get_close_matches(given, [name for name in known.values() if name], n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    raise ParameterError(f"there is no {kind} {given!r}; {meant}list them with: {see}")
