"""Prints the table of what was searched, and a shortest trace for every break."""

from specs.model.cases import CASES, REMOVALS
from specs.model.search import Found, search


def main() -> None:
    print("| configuration | states | result |\n|---|---|---|")
    traces = []
    for case in CASES:
        found = search(case.model)
        if set(found.broken) != case.broken:
            raise SystemExit(f"{case.name}: broken are {sorted(found.broken)}, expected are {sorted(case.broken)}")
        print(f"| {case.name} | {found.states:,} | {_result(found)} |", flush=True)
        traces.append((case.name, found))
    for removal in REMOVALS:
        found = search(removal.without, until=removal.broken)
        if removal.broken not in found.broken:
            raise SystemExit(f"without the rule that {removal.rule}, nothing breaks")
        print(f"| without: {removal.rule} | {found.states:,} | broken: {removal.broken} |", flush=True)
        traces.append((f"without: {removal.rule}", Found(found.states, {removal.broken: found.broken[removal.broken]})))
    for name, found in traces:
        for broken, trace in found.broken.items():
            print(f"\n{name}; broken: {broken}")
            print("\n".join(f"  {line}" for line in trace))


def _result(found: Found) -> str:
    return "broken: " + "; ".join(sorted(found.broken)) if found.broken else "holds"


if __name__ == "__main__":
    main()
