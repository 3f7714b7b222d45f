"""The list of guards and of the tests that prove them is complete and up to date."""

import ast

import pytest

from tests.mutants import CONSTRAINTS, GUARDS, ROOT, constraints, copy_to, known_constraints, matching


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


@pytest.mark.parametrize("mutant", [*GUARDS, *constraints()], ids=lambda mutant: mutant.guard)
def test_every_guard_is_found_in_its_file_and_its_test_exists(mutant, tmp_path):
    file, _, test = mutant.test.partition("::")
    functions = [each.name for each in ast.parse((ROOT / file).read_text()).body if isinstance(each, ast.FunctionDef)]
    copy_to(tmp_path)

    mutant.take_away(tmp_path)  # raises if the guard is not found

    assert not test or test.partition("[")[0] in functions
