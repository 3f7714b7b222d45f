"""
Take each guard away, one at a time, and see a test fail for want of it: `make mutants`.

A check that was never seen to fail proves nothing. Each guard is taken out of a copy of the tree, and the test that is
named beside it must fail there; in the tree as it is, all of them must pass. The exit code is 1 where a test does not
notice, or where a guard is not found where it was.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.postgres import find_binaries, throwaway_server

ROOT = Path(__file__).resolve().parent.parent
PARTS = (
    *("bench", "bulk", "courses", "docs", "locale", "school", "stress", "students", "tests"),
    *("manage.py", "pyproject.toml"),
)
SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
LIMIT = 300  # seconds that a test may take
SHOWN = 100  # letters of how it fails
PASSED, FAILED = 0, 1  # exit codes of pytest; others say that no test was run

NO_SEAT_TWICE = "tests/test_race.py::test_the_last_seat_is_never_sold_twice"
LATE_COMMIT = (
    "tests/test_changes.py::test_a_reader_misses_nothing_and_sees_nothing_twice_when_the_first_writer_commits_last"
)
APPEND_ONLY = "tests/students/test_journal.py::test_the_database_refuses_to_change_the_journal"
NEXT_IN_LINE = "tests/students/test_waitlist.py::test_more_seats_let_in_as_many_as_there_are_seats"
SIXTEEN = "tests/test_sqlite_writers.py::test_sixteen_processes_write_and_none_is_told_that_the_database_is_locked"
HOSTILE_BODIES = (
    "tests/hostile/test_api.py::test_whatever_a_program_sends_is_refused_by_name_and_writes_nothing[in_bodies]"
)
CANNOT_BE = "tests/students/test_enrollment.py::test_the_database_refuses_what_cannot_be"
WHO_MAY = "tests/test_access.py::test_each_role_is_answered_as_the_table_says"
NO_SUCH_COURSE = "tests/courses/test_constraints.py::test_the_database_refuses_a_course_that_cannot_be"


class NotFound(Exception):
    """The guard is not where it was."""


@dataclass(frozen=True)
class Mutant:
    """A guard, how it is taken out of the copy in a folder, and the test that must fail without it."""

    guard: str
    engine: str
    test: str
    take_away: Callable[[Path], None]


def instead(file: str, old: str, new: str) -> Callable[[Path], None]:
    """Put other text in the place of the one that is there once."""

    def take_away(folder: Path) -> None:
        path = folder / file
        text = path.read_text()
        if text.count(old) != 1:
            raise NotFound(f"{file} has {text.count(old)} times: {old}")
        path.write_text(text.replace(old, new))

    return take_away


def without_constraint(file: str, model: str, name: str) -> Callable[[Path], None]:
    """Take a constraint out of its model, and out of the database by one more migration."""

    def take_away(folder: Path) -> None:
        path, app = folder / file, file.partition("/")[0]
        lines = path.read_text().splitlines(keepends=True)
        [found] = [each for _model, known, each in constraints_in(path) if known == name]
        del lines[found.lineno - 1 : found.end_lineno]
        path.write_text("".join(lines))
        migrations = folder / app / "migrations"
        newest = max(each.stem for each in migrations.glob("[0-9]*.py"))
        (migrations / "9999_without_a_guard.py").write_text(
            "from django.db import migrations\n\n\n"
            "class Migration(migrations.Migration):\n"
            f"    dependencies = [({app!r}, {newest!r})]\n"
            f"    operations = [migrations.RemoveConstraint({model!r}, {name!r})]\n"
        )

    return take_away


def constraints_in(models: Path) -> Iterator[tuple[str, str, ast.Call]]:
    """Yield model, name and source of each constraint in a file of models."""
    for model in ast.parse(models.read_text()).body:
        for node in ast.walk(model):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Constraint"):
                [name] = [ast.literal_eval(each.value) for each in node.keywords if each.arg == "name"]
                assert isinstance(model, ast.ClassDef)
                yield model.name, name, node


# The test of every constraint. Those with a check of their own in the field are told apart on PostgreSQL only.
CONSTRAINTS = {
    "refused_act_is_one_a_day": (SQLITE, "tests/students/test_refused.py::test_the_database_keeps_one_a_day"),
    "term_ends_after_it_starts": (
        SQLITE,
        "tests/courses/test_constraints.py::test_the_database_refuses_a_term_that_ends_before_it_starts",
    ),
    "course_code_is_unique_in_a_term": (
        SQLITE,
        "tests/courses/test_constraints.py::test_the_database_refuses_a_code_twice_in_a_term",
    ),
    "course_code_is_unique_without_a_term": (
        SQLITE,
        "tests/courses/test_constraints.py::test_the_database_refuses_a_code_twice_without_a_term",
    ),
    "course_capacity_is_not_negative": (POSTGRESQL, NO_SUCH_COURSE),
    "course_waitlist_capacity_is_not_negative": (POSTGRESQL, NO_SUCH_COURSE),
    "course_enrollment_closes_after_it_opens": (SQLITE, NO_SUCH_COURSE),
    "course_level_is_known": (SQLITE, NO_SUCH_COURSE),
    "course_staff_is_named_once": (
        SQLITE,
        "tests/courses/test_constraints.py::test_the_database_refuses_a_second_naming_of_course_staff",
    ),
    "student_email_is_unique": (
        SQLITE,
        "tests/students/test_constraints.py::test_the_database_refuses_an_email_address_twice_whatever_its_case",
    ),
    "student_is_nobody_once_erased": (
        SQLITE,
        "tests/students/test_constraints.py::test_the_database_refuses_a_name_to_a_student_who_was_erased",
    ),
    "enrollment_is_open_once": (
        SQLITE,
        "tests/students/test_enrollment.py::test_the_database_refuses_a_second_open_enrollment",
    ),
    "enrollment_has_ended_when_not_open": (SQLITE, CANNOT_BE),
    "enrollment_ends_after_it_starts": (SQLITE, CANNOT_BE),
    "enrollment_waits_since_an_instant": (SQLITE, CANNOT_BE),
    "enrollment_has_a_day_of_enrollment": (SQLITE, CANNOT_BE),
    "enrollment_is_graded_when_completed": (SQLITE, CANNOT_BE),
}

GUARDS = [
    Mutant(
        "the lock on the rows of courses",
        POSTGRESQL,
        NO_SEAT_TWICE,
        instead("students/facts.py", '.select_for_update(of=("self",), no_key=True, skip_locked=skip_locked)', ""),
    ),
    Mutant(
        "nothing is done but what was shown",
        SQLITE,
        "tests/students/test_acting.py::test_nothing_is_done_where_something_else_would_come_of_it",
        instead(
            "students/enrollment/__init__.py",
            "    if forecast.fingerprint != fingerprint:\n",
            "    if not fingerprint:\n",
        ),
    ),
    Mutant(
        "who follows by itself is part of what was shown",
        SQLITE,
        "tests/students/test_acting.py::test_nothing_is_done_where_something_else_would_come_of_it",
        instead("students/enrollment/forecast.py", ", *(_of_event(*each) for each in self.followed)]", "]"),
    ),
    Mutant(
        "who waits leaves before a seat comes free for them",
        SQLITE,
        "tests/students/test_acting.py::test_who_waits_leaves_before_a_seat_comes_free_for_them",
        instead("students/admin/acting.py", "row.status != Status.WAITLISTED, row.pk", "row.pk"),
    ),
    Mutant(
        "who is moved up waits still",
        SQLITE,
        "tests/students/test_acting.py::test_nobody_is_moved_up_who_has_left_the_line_since_it_was_read",
        instead("students/admin/acting.py", "(row.pk, row.version) if way is MOVE_UP else None", "None"),
    ),
    Mutant(
        "pages go back to local paths only",
        SQLITE,
        "tests/students/test_acting.py::test_nobody_is_led_to_another_host",
        instead(
            "students/admin/results.py",
            'wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)',
            "wanted",
        ),
    ),
    Mutant(
        "what was asked about making active is taken back",
        SQLITE,
        "tests/students/test_activity.py::test_nothing_is_done_where_somebody_was_quicker",
        instead("students/admin/activity.py", "                transaction.set_rollback(True)\n", ""),
    ),
    Mutant(
        "the lock of promotion",
        POSTGRESQL,
        "tests/test_race_waitlist.py::test_who_is_promoted_by_many_at_once_is_promoted_once",
        instead("students/facts.py", "by = LOCKED if waiting", "by = AT_ONCE if not acts else LOCKED if waiting"),
    ),
    Mutant(
        "the lock in company",
        POSTGRESQL,
        "tests/test_race.py::test_the_last_seat_is_never_sold_twice",
        instead("students/facts.py", "waiting else UNLOCKED", "waiting else AT_ONCE"),
    ),
    Mutant(
        "what is not simple is not done in company",
        POSTGRESQL,
        "tests/test_race_grouped.py::test_nobody_in_company_waits_for_a_course_that_somebody_else_is_at_work_on",
        instead("students/enrollment/grouped.py", "if ledger.is_simple(ticket.act):", "if True:"),
    ),
    Mutant(
        "the lock on a row that is edited",
        POSTGRESQL,
        "tests/test_race.py::test_two_who_change_different_fields_at_once_do_not_undo_each_other",
        instead("school/api/views.py", "_base_manager.select_for_update(no_key=True)", "_base_manager.all()"),
    ),
    Mutant(
        "READ COMMITTED, whatever the server says",
        POSTGRESQL,
        "tests/test_race.py::test_a_server_that_isolates_more_than_it_should_sells_no_seat_twice",
        instead("school/settings.py", '    _options["isolation_level"] = IsolationLevel.READ_COMMITTED\n', ""),
    ),
    Mutant(
        "another try after a deadlock",
        POSTGRESQL,
        "tests/test_retry.py::test_a_deadlock_is_tried_again_and_all_is_done_once",
        instead("school/retry.py", "TRIES = 4", "TRIES = 1"),
    ),
    Mutant(
        "the order in which seats are given",
        SQLITE,
        NEXT_IN_LINE,
        instead(
            "students/waitlist.py",
            "list(register.lines.get(course_id, ()))",
            "list(register.lines.get(course_id, ()))[::-1]",
        ),
    ),
    Mutant(
        "the order in which a line is read",
        SQLITE,
        NEXT_IN_LINE,
        instead(
            "students/models/enrollments.py",
            '"course", "waitlisted_at", "id")\n',
            '"course", "-waitlisted_at", "-id")\n',
        ),
    ),
    Mutant(
        "a free seat is kept for who waits",
        SQLITE,
        "tests/students/test_waitlist.py::test_a_newcomer_does_not_take_a_free_seat_while_somebody_waits",
        instead("students/transitions.py", " and not register.waiting[act.course_id]\n", "\n"),
    ),
    Mutant(
        "a writer's announcement in the journal",
        POSTGRESQL,
        LATE_COMMIT,
        instead("students/journal.py", "announces = events and ON_POSTGRESQL", "announces = False"),
    ),
    Mutant(
        "the horizon up to which changes are read",
        POSTGRESQL,
        LATE_COMMIT,
        instead("students/changes.py", "    until = horizon()\n", "    until = None\n"),
    ),
    *(
        Mutant(
            f"the trigger that keeps the journal ({engine})",
            engine,
            APPEND_ONLY,
            instead("students/migrations/0004_append_only_journal.py", "[migrations.RunPython(guard, unguard)]", "[]"),
        )
        for engine in (SQLITE, POSTGRESQL)
    ),
    Mutant(
        "BEGIN IMMEDIATE",
        SQLITE,
        SIXTEEN,
        instead("school/settings.py", '        "transaction_mode": "IMMEDIATE",\n', ""),
    ),
    Mutant(
        "the turns of SQLite's writers",
        SQLITE,
        "tests/test_sqlite_writers.py::test_who_waits_for_the_lock_has_it_before_who_comes_back",
        instead("school/settings.py", '    DATABASES["default"]["ENGINE"] = "school.sqlite"\n', ""),
    ),
    Mutant(
        "the limits of a client on what it reads",
        SQLITE,
        WHO_MAY,
        instead("school/limits.py", "    if limits is None:\n        return rows\n", "    return rows\n"),
    ),
    Mutant(
        "the limits of a client on a shortcut",
        SQLITE,
        WHO_MAY,
        instead("school/api/shortcuts.py", " or grant.limits is not None or ", " or "),
    ),
    Mutant(
        "the scope on a shortcut",
        SQLITE,
        WHO_MAY,
        instead("school/api/shortcuts.py", " or scope not in grant.scopes:", ":"),
    ),
    Mutant(
        "the limits of a client on enrollments",
        SQLITE,
        WHO_MAY,
        instead("students/views/reads.py", "EnrollmentReads(WithinLimits, Shaped,", "EnrollmentReads(Shaped,"),
    ),
    Mutant(
        "the limits of a client on what it adds",
        SQLITE,
        "tests/school/test_limits.py::test_who_is_limited_adds_no_student_and_is_not_told_which_numbers_are_taken",
        instead("school/api/views.py", "        refuse_to_add(self.permission_model, limits_of(request))\n", ""),
    ),
    Mutant(
        "the limits of a client on where it moves a course",
        SQLITE,
        "tests/school/test_limits.py::test_a_course_is_not_moved_out_of_the_limits",
        instead("school/api/views.py", "        refuse_outside(serializer.instance, limits_of(request))\n", ""),
    ),
    Mutant(
        "the limits of a client in a batch",
        SQLITE,
        "tests/school/test_limits.py::test_an_item_of_a_batch_outside_is_not_found_and_the_others_are_done",
        instead("students/serializers/batch.py", 'outside.get(body["course_id"])', "None"),
    ),
    Mutant(
        "the limits of a client in a file",
        SQLITE,
        "tests/school/test_limits.py::test_the_rows_of_an_import_keep_within",
        instead("students/imports/enrollments.py", "within(Course.objects.all(), self.limits)", "Course.objects.all()"),
    ),
    Mutant(
        "the limits of a client in an undo",
        SQLITE,
        "tests/school/test_limits.py::test_an_undo_takes_back_what_lies_within_by_now",
        instead(
            "students/imports/undo.py", "within(EnrollmentEvent.objects.all(), self.limits)", "EnrollmentEvent.objects"
        ),
    ),
    Mutant(
        "the end of what is remembered of a token",
        SQLITE,
        "tests/school/test_grants.py::test_what_a_token_has_lost_is_gone_thirty_seconds_later",
        instead("school/api/grants.py", "if kept and monotonic() < kept[0] else", "if kept else"),
    ),
    Mutant(
        "the scopes of a client above those of its tokens",
        SQLITE,
        "tests/school/test_grants.py::test_what_a_token_has_lost_is_gone_thirty_seconds_later",
        instead("school/api/grants.py", " & frozenset(client.scope.split())", ""),
    ),
    Mutant(
        "the condition of SQLite's counting",
        SQLITE,
        "tests/school/test_throttling.py::test_the_third_of_two_is_refused_and_told_when_to_come_back",
        instead("school/counting.py", "            WHERE taken < :most OR began <= :now - :window\n", ""),
    ),
    Mutant(
        "the condition of PostgreSQL's counting",
        POSTGRESQL,
        "tests/school/test_throttling.py::test_the_third_of_two_is_refused_and_told_when_to_come_back",
        instead("school/migrations/0004_counted_requests.py", " WHERE counted.taken + wanted <= most", ""),
    ),
    Mutant(
        "the lock of who begins a window of counting",
        POSTGRESQL,
        "tests/test_throttling_served.py::test_many_who_begin_a_window_at_once_begin_one",
        instead(
            "school/migrations/0004_counted_requests.py",
            "        PERFORM pg_advisory_xact_lock(23619, hashtext(whose));\n",
            "",
        ),
    ),
    Mutant(
        "the order in which forwarded addresses are read",
        SQLITE,
        "tests/school/test_addresses.py::test_an_address_is_the_first_from_the_right_that_is_no_proxy_of_ones_own",
        instead("school/addresses.py", "in reversed(claimed)", "in claimed"),
    ),
    Mutant(
        "the lock on a client that is guessed at",
        SQLITE,
        "tests/school/test_logins.py::test_after_five_wrong_secrets_even_the_right_one_is_refused",
        instead("school/api/token.py", "if not AxesProxyHandler.is_allowed(request, credentials):", "if False:"),
    ),
    Mutant(
        "the lock on a name, for its address alone",
        SQLITE,
        "tests/school/test_logins.py::test_a_name_is_locked_where_it_was_guessed_at_and_nowhere_else",
        instead("school/settings.py", '[["username", "ip_address"]]', '["username", "ip_address"]'),
    ),
    Mutant(
        "nothing to lock for OPTIONS",
        POSTGRESQL,
        "tests/test_access.py::test_options_answers_who_may_and_asks_for_no_row",
        instead("school/api/settings.py", '    "DEFAULT_METADATA_CLASS": "school.api.metadata.Metadata",\n', ""),
    ),
    Mutant(
        "the end of a request's patience",
        POSTGRESQL,
        "tests/test_database_away.py::test_a_database_that_is_frozen_is_told_of_in_time_and_found_again",
        instead("school/settings.py", '        _options["patience"] = DATABASE_TIMEOUT\n', "        pass\n"),
    ),
    Mutant(
        "the refusal of two values of one name",
        SQLITE,
        HOSTILE_BODIES,
        instead("school/api/parsers.py", "    if len(found) < len(pairs):\n", "    if False:\n"),
    ),
    Mutant(
        "the refusal of half of a surrogate pair",
        SQLITE,
        HOSTILE_BODIES,
        instead("school/api/parsers.py", "        if not usable:\n", "        if False:\n"),
    ),
    Mutant(
        "the refusal of charsets that Django decodes by",
        SQLITE,
        "tests/hostile/test_wire.py",
        instead("school/wsgi.py", "    request_class = Request\n", "    pass\n"),
    ),
    Mutant(
        "English for programs",
        SQLITE,
        "tests/school/test_languages.py::test_programs_are_answered_in_english",
        instead("school/languages.py", "if request.path_info.startswith(ENGLISH):", "if False:"),
    ),
    Mutant(
        "English for the journal",
        SQLITE,
        "tests/school/test_languages.py::test_why_somebody_is_passed_over_is_kept_in_english",
        instead("students/enrollment/ledger.py", "with in_english():", "if True:"),
    ),
    Mutant(
        "one language for each request",
        SQLITE,
        "tests/school/test_languages.py::test_a_page_leaves_its_language_behind_nowhere",
        instead("school/languages.py", "with override(language):", "if override(language).__enter__() is None:"),
    ),
]


def main() -> int:
    binaries = find_binaries()
    if binaries is None:
        print("There is no PostgreSQL: apt-get install postgresql.", file=sys.stderr)
        return 1
    mutants = [*GUARDS, *constraints()]
    with throwaway_server(binaries) as url, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        whole = pool.map(lambda engine: try_whole(engine, mutants, url), (SQLITE, POSTGRESQL))
        trials = pool.map(lambda numbered: try_without(numbered[1], f"{url}_{numbered[0]}"), enumerate(mutants))
        failed = [said for said in whole if said]
        for mutant, (is_noticed, said) in zip(mutants, trials, strict=True):
            test = mutant.test.rpartition("::")[2]
            print(f"without {mutant.guard} ({mutant.engine})")
            print(f"    {test} {'fails as it must' if is_noticed else 'DOES NOT FAIL'}: {said}", flush=True)
            failed += [] if is_noticed else [f"Nobody would miss {mutant.guard}."]
    for sentence in failed:
        print(f"FAILED: {sentence}")
    print(f"{len(mutants)} guards, {len(failed)} failures.", flush=True)
    return int(bool(failed))


def constraints() -> Iterator[Mutant]:
    """Yield every constraint that the models have."""
    for file, model, name in known_constraints():
        engine, test = CONSTRAINTS[name]
        yield Mutant(name, engine, test, without_constraint(file, model, name))


def known_constraints() -> Iterator[tuple[str, str, str]]:
    """Yield file, model and name of every constraint."""
    for path in [ROOT / "courses/models.py", *sorted((ROOT / "students/models").glob("*.py"))]:
        for model, name, _source in constraints_in(path):
            yield str(path.relative_to(ROOT)), model, name


def try_without(mutant: Mutant, url: str) -> tuple[bool, str]:
    """Tell whether the test fails without the guard, and how."""
    with tempfile.TemporaryDirectory(prefix="school-mutant-") as folder:
        copy_to(Path(folder))
        try:
            mutant.take_away(Path(folder))
        except NotFound as error:
            return False, str(error)
        code, output = run_tests(Path(folder), [mutant.test], mutant.engine, url)
    if code == FAILED and (said := re.search(r"^E +(.*)", output, re.MULTILINE)):
        return True, said[1][:SHOWN]
    return False, "it passes" if code == PASSED else f"it does not run: {output.splitlines()[-1:]}"


def try_whole(engine: str, mutants: list[Mutant], url: str) -> str:
    """Return what is wrong where the tests of a database do not all pass in the tree as it is, else nothing."""
    tests = sorted({mutant.test for mutant in mutants if mutant.engine == engine})
    with tempfile.TemporaryDirectory(prefix="school-whole-") as folder:
        copy_to(Path(folder))
        code, output = run_tests(Path(folder), tests, engine, f"{url}_whole")
    last = output.splitlines()[-1]
    return "" if code == PASSED and "skipped" not in last else f"With all guards, on {engine}: {last}"


def copy_to(folder: Path) -> None:
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)


def run_tests(folder: Path, tests: list[str], engine: str, url: str) -> tuple[int, str]:
    """Run tests in a folder, each on a database of its own; return pytest's exit code and what it printed."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=short",
        "--show-capture=no",
        "-p",
        "no:cacheprovider",
        *tests,
    ]
    environment = {**os.environ, "DATABASE_URL": "sqlite:///:memory:" if engine == SQLITE else url}
    environment.pop("TEST_LOGS", None)
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return -1, f"It took more than {LIMIT} seconds."
    return done.returncode, done.stdout or done.stderr


if __name__ == "__main__":
    sys.exit(main())
