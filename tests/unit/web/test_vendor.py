"""The vendored files are those of the lock; that they are npm's says `tests.support.vendor --check`."""

import json

import pytest

from tests.support.tools import ROOT
from tests.support.vendor import FOLDER, MANIFEST, TAKEN, sha384

ENTRIES = json.loads((FOLDER / MANIFEST).read_bytes())
LOCK = json.loads((ROOT / "package-lock.json").read_bytes())["packages"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["file"])
def test_a_file_is_the_one_of_the_manifest(entry):
    assert sha384((FOLDER / entry["file"]).read_bytes()) == entry["sha384"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["file"])
def test_it_is_of_the_locked_version_with_its_licence_beside(entry):
    locked = LOCK[f"node_modules/{entry['package']}"]
    assert (locked["version"], locked["license"]) == (entry["version"], entry["licence"])
    assert "THE SOFTWARE IS PROVIDED" in (FOLDER / entry["licence_text"]).read_text()


def test_there_is_nothing_beside_them():
    there = {str(file.relative_to(FOLDER)) for file in FOLDER.rglob("*") if file.is_file()}
    assert there == {MANIFEST} | {entry[kind] for entry in ENTRIES for kind in ("file", "licence_text")}


def test_every_version_is_exact():
    wanted = json.loads((ROOT / "package.json").read_bytes())
    exact = wanted["dependencies"] | wanted["devDependencies"]
    assert exact == {name: LOCK[f"node_modules/{name}"]["version"] for name in exact}
    assert set(wanted["dependencies"]) == {taken.package for taken in TAKEN}


def test_the_lock_names_no_registry():
    assert not [name for name, package in LOCK.items() if "resolved" in package]
