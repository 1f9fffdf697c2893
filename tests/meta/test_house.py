"""The code base is navigable: no import cycles, every folder describes itself, every class name has one meaning.

The cycles are counted in the import graph itself, in which an import inside a function is an edge like any other.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("secagg", "relay", "participant", "coordinator")
ROOMS = (*PACKAGES, "tests", "bench", "specs")

ONE_FLOOR = ("secagg",)
"""Its folders are parts of one small library: they hold what is apart for its weight, not for its place."""

TWO_MEANINGS = {
    "Plan": "of an epoch in secagg, of a study in participant; the library knows of no studies",
    "Task": "of a project: as the relay hands it on, and as the plan of a study reads it",
}


def circles(arrows: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return circles, until the rest has none: of each that is found, its first arrow is taken away."""
    rest, found = {tail: set(heads) for tail, heads in arrows.items()}, []
    while True:
        try:
            TopologicalSorter(rest).prepare()
        except CycleError as error:
            circle = error.args[1]
            found.append(circle)
            rest[circle[1]].remove(circle[0])
        else:
            return found


def between_folders(arrows: Mapping[str, Iterable[str]], folders: set[str]) -> dict[str, set[str]]:
    """Return the arrows between the folders of modules, without those that begin in a house of one floor."""

    def folder(module: str) -> str:
        return module if module in folders else module.rpartition(".")[0]

    found = defaultdict(set)
    for tail, heads in arrows.items():
        if tail.partition(".")[0] not in ONE_FLOOR:
            found[folder(tail)] |= {folder(head) for head in heads} - {folder(tail)}
    return found


def silent(rooms: Iterable[Path]) -> list[str]:
    """Return the folders with Python files that have neither a README.md nor a docstring in their `__init__.py`.

    In a folder that is no package, such as those below `tests`, the page is that of the folder above.
    """
    return sorted(
        str(folder)
        for folder in {file.parent for room in rooms for file in room.rglob("*.py")}
        if not (folder / "README.md").is_file() and not (_docstring(folder / "__init__.py") or _has_page_above(folder))
    )


def _docstring(file: Path) -> bool:
    return file.is_file() and ast.get_docstring(ast.parse(file.read_text())) is not None


def _has_page_above(folder: Path) -> bool:
    is_package = (folder / "__init__.py").is_file()
    return not is_package and any((above / "README.md").is_file() for above in folder.parents if above != ROOT)


def twice(modules: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the public classes that are defined in more than one module, and where; `modules` are their sources."""
    found = defaultdict(list)
    for module, source in modules.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(module)
    return {name: places for name, places in found.items() if len(places) > 1}


@pytest.fixture(scope="module")
def arrows() -> dict[str, set[str]]:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_the_graph_has_every_module(arrows):
    files = {file.relative_to(ROOT) for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    names = {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files}
    assert names <= arrows.keys()


def test_no_circle_of_files(arrows):
    assert circles(arrows) == []


def test_no_circle_of_folders(arrows):
    folders = {module for module in arrows if (ROOT / module.replace(".", "/")).is_dir()}
    assert circles(between_folders(arrows, folders)) == []


def test_every_folder_says_what_it_is():
    assert silent(ROOT / room for room in ROOMS) == []


def test_a_class_name_has_one_meaning():
    sources = {str(file): file.read_text() for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    assert twice(sources).keys() == TWO_MEANINGS.keys()


# Each of them sees what it is for.


@pytest.mark.parametrize(
    ("planted", "count"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, 0),
        ({"a": {"b"}, "b": {"a"}}, 1),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"e"}, "e": {"d"}}, 2),
    ],
)
def test_circles_are_seen(planted, count):
    assert len(circles(planted)) == count


@pytest.mark.parametrize(("room", "count"), [("relay", 1), ("secagg", 0)])
def test_circles_of_folders_are_seen_though_files_have_none(room, count):
    planted = {f"{room}.x.one": {f"{room}.y.two"}, f"{room}.y.two": set(), f"{room}.y.three": {f"{room}.x.four"}}
    assert circles(planted) == []
    assert len(circles(between_folders(planted, {room, f"{room}.x", f"{room}.y"}))) == count


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"__init__.py": '"""What is here."""'}, 0),
        ({"README.md": "What is here.", "module.py": ""}, 0),
        ({"README.md": "What is here.", "module.py": "", "below/module.py": ""}, 0),
        ({"__init__.py": ""}, 1),
        ({"module.py": '"""Not of the folder."""'}, 1),
        ({"README.md": "What is here.", "below/__init__.py": ""}, 1),
    ],
)
def test_folders_that_say_nothing_are_seen(tmp_path, files, count):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert len(silent([tmp_path])) == count


def test_names_with_two_meanings_are_seen():
    assert twice({"a": "class Box: ...\nclass _Own: ...", "b": "class Box: ...\nclass _Own: ..."}) == {
        "Box": ["a", "b"]
    }
