"""A release's contents and metadata. `make dist` and `make interpreters` try them out; they need a package index."""

import re
import sys

import secagg
from tests.release import contents, interpreters
from tests.release.extras import CORE, EXTRAS, PROJECT, ROOT, importable, with_its_own


def test_both_archives_give_the_same_wheel_with_what_programs_need_and_nothing_else(tmp_path):
    (wheel,) = contents.build(ROOT, tmp_path / "wheel", "wheel")
    (sdist,) = contents.build(ROOT, tmp_path / "sdist", "sdist")
    assert wheel.name == f"secagg-{secagg.__version__}-py3-none-any.whl"
    assert contents.missing(wheel) == set()
    assert contents.superfluous(wheel) == set()
    assert contents.differing(wheel, sdist, tmp_path) == []
    assert {name for name in contents.files(wheel) if name.endswith((".j2", ".schema.json"))}
    assert any("/migrations/versions/" in name for name in contents.files(wheel))


def test_each_extra_says_what_it_promises():
    assert EXTRAS.keys() - {CORE} == PROJECT["optional-dependencies"].keys()
    assert {program for one in EXTRAS.values() for program in one.programs} == PROJECT["scripts"].keys()


def test_an_extra_is_asked_for_its_own_modules_and_for_none_of_another_extra():
    assert with_its_own("postgres") == {CORE, "service", "relay", "postgres"}
    modules = [
        "secagg.he.bfv",
        "secagg.keys",
        "relay.server.app",
        "relay.server.store.postgres",
        "coordinator.demo.lung",
    ]
    assert importable("relay", modules) == ["secagg.keys", "relay.server.app"]
    assert importable("postgres", modules) == ["secagg.keys", "relay.server.app", "relay.server.store.postgres"]
    assert importable("coordinator", modules) == ["secagg.keys"]
    assert importable("all", modules) == modules


def test_the_classifiers_begin_with_the_oldest_python_that_is_supported():
    oldest = re.fullmatch(r">=(3\.\d+)", PROJECT["requires-python"])[1]
    assert interpreters.named()[0] == oldest
    assert interpreters.installed(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert interpreters.installed("3.0") is None
