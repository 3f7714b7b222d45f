"""The list of guards and of the tests that prove them is complete and up to date."""

import ast
import shutil

import pytest

from tools.mutants import CONSTRAINTS, GUARDS, ROOT, constraints, copy_to, known_constraints, matching


def test_every_constraint_has_a_test_that_proves_it():
    assert sorted(CONSTRAINTS) == sorted(name for _file, _model, name in known_constraints())


def test_search_words_select_guards_by_their_names_and_by_their_test_names():
    assert len(matching([])) == len([*GUARDS, *constraints()])
    assert [mutant.guard for mutant in matching(["OUTDATED form"])] == ["the check of outdated forms"]
    assert [mutant.guard for mutant in matching(["test_stale_forms"])] == [
        "the check of outdated forms",
        "the lock on the row that a form of the admin saves",
    ]
    assert matching(["no such guard"]) == []


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy")
    copy_to(folder)
    return folder


@pytest.fixture
def tree(copy):
    """A copy of the tree, in which each changed file is restored after the test."""
    yield copy
    for path in [each for each in copy.rglob("*.py") if each.is_file()]:
        source = ROOT / path.relative_to(copy)
        if not source.exists():
            path.unlink()
        elif path.stat().st_mtime_ns != source.stat().st_mtime_ns:
            shutil.copy2(source, path)


@pytest.mark.parametrize("mutant", [*GUARDS, *constraints()], ids=lambda mutant: mutant.guard)
def test_every_guard_is_found_in_its_file_and_its_test_exists(mutant, tree):
    file, _, test = mutant.test.partition("::")
    functions = [each.name for each in ast.parse((ROOT / file).read_text()).body if isinstance(each, ast.FunctionDef)]

    mutant.take_away(tree)  # or it raises

    assert not test or test.partition("[")[0] in functions
