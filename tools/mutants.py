"""
Mutation tests: remove each guard from the code, and check that its test fails then: `make mutants`.

`make mutants ARGS=word` tests only the guards that have the word in their name or in the name of their test.

A guard is a check in the code or a constraint of the database. It is removed in a copy of the source tree, where its
test must fail. In the unchanged tree all of these tests must pass. The exit code is 1 if a test does not fail, or if a
guard is not found in its file.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.support.postgres import find_binaries, temporary_server

ROOT = Path(__file__).resolve().parent.parent
PARTS = (
    *(
        "bench",
        "bulk",
        "courses",
        "docs",
        "locale",
        "oneroster",
        "school",
        "stress",
        "students",
        "tests",
        "tools",
        "webhooks",
    ),
    *("manage.py", "pyproject.toml"),
)
SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
LIMIT = 600  # the time limit for one test in seconds
LIMIT_OF_ALL = 1_800  # the time limit in seconds for all tests together in the unchanged tree
SHOWN = 100  # the number of characters of a failure that are printed
EXTRA_MIGRATION = "9999_without_a_guard.py"
PASSED, FAILED = 0, 1  # exit codes of pytest; any other code means that no test was run

NO_SEAT_TWICE = "tests/races/test_seats.py::test_the_last_seat_is_never_given_twice"
LATE_COMMIT = "tests/students/test_changes.py::test_a_reader_gets_each_change_once_if_the_first_writer_commits_last"
LATE_VERSION = LATE_COMMIT.replace("test_changes.py", "test_changes_of_kinds.py")
AFTER_A_RESTORE = (
    "tests/students/test_changes.py::test_after_a_restore_cursors_of_lost_entries_expire_and_older_ones_miss_nothing"
)
APPEND_ONLY = "tests/students/test_journal.py::test_the_database_refuses_to_change_the_journal"
NEXT_IN_LINE = "tests/students/test_waitlist.py::test_a_larger_capacity_promotes_as_many_students_as_there_are_seats"
SIXTEEN = "tests/served/test_sqlite_writers.py::test_sixteen_processes_write_without_a_database_is_locked_error"
HOSTILE_BODIES = (
    "tests/hostile/test_api.py::test_hostile_api_requests_return_a_specific_problem_and_write_nothing[body_cases]"
)
CANNOT_BE = "tests/students/test_enrollment.py::test_the_database_refuses_invalid_enrollments"
WHO_MAY = "tests/security/test_access.py::test_each_role_gets_the_response_of_the_table"
BATCHES = "tests/school/test_batches.py"
PUT = "tests/school/test_put_by_key.py"
BUNDLES = "tests/bulk/test_bundles.py"
ONEROSTER_ZIPS = "tests/bulk/test_oneroster_zips.py"
ONEROSTER_REFUSALS = "tests/bulk/test_oneroster_refusals.py"
FAILED_ROWS = "tests/bulk/test_api.py::test_failed_rows_are_returned_unchanged_and_fail_again_with_the_same_errors"
SENDER = "tests/webhooks/test_sender.py"
DELIVERY = "tests/webhooks/test_delivery.py"
ERASED = "tests/security/test_erasure.py::test_an_erased_student_is_in_no_table_and_no_database_file"
BUDGET = "tests/security/test_limits.py"
NO_NEGATIVE_CREDITS = "tests/students/test_credits.py::test_the_database_refuses_negative_credits"
NO_SUCH_COURSE = "tests/courses/test_constraints.py::test_the_database_refuses_invalid_courses"


class NotFound(Exception):
    """The source text of a guard is not in its file exactly once."""


@dataclass(frozen=True)
class Mutant:
    """A guard, the function that removes it from a copy of the source tree, and the test that must fail without it."""

    guard: str
    engine: str
    test: str
    take_away: Callable[[Path], None]


def instead(file: str, old: str, new: str) -> Callable[[Path], None]:
    """Return a function that replaces a text, which must occur exactly once in the file."""

    def take_away(folder: Path) -> None:
        path = folder / file
        text = path.read_text()
        if text.count(old) != 1:
            raise NotFound(f"{file} has {text.count(old)} times: {old}")
        path.write_text(text.replace(old, new))

    return take_away


def without_constraint(file: str, model: str, name: str) -> Callable[[Path], None]:
    """Return a function that removes a constraint from its model, and from the database by an additional migration."""

    def take_away(folder: Path) -> None:
        path, app = folder / file, file.partition("/")[0]
        lines = path.read_text().splitlines(keepends=True)
        [found] = [each for _model, known, each in constraints_in(path) if known == name]
        del lines[found.lineno - 1 : found.end_lineno]
        path.write_text("".join(lines))
        migrations = folder / app / "migrations"
        newest = max(each.stem for each in migrations.glob("[0-9]*.py"))
        (migrations / EXTRA_MIGRATION).write_text(
            "from django.db import migrations\n\n\n"
            "class Migration(migrations.Migration):\n"
            f"    dependencies = [({app!r}, {newest!r})]\n"
            f"    operations = [migrations.RemoveConstraint({model!r}, {name!r})]\n"
        )

    return take_away


def constraints_in(models: Path) -> Iterator[tuple[str, str, ast.Call]]:
    """Yield the model, the name and the source of each constraint in a file of models."""
    for model in ast.parse(models.read_text()).body:
        for node in ast.walk(model):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Constraint"):
                [name] = [ast.literal_eval(each.value) for each in node.keywords if each.arg == "name"]
                assert isinstance(model, ast.ClassDef)
                yield model.name, name, node


# Maps each constraint to its test. If the field of a constraint has a check of its own, only PostgreSQL can test the
# constraint.
NO_SUCH_HOLD = (
    "tests/students/test_holds.py::"
    "test_the_database_refuses_a_second_open_hold_reversed_days_and_a_release_without_a_time"
)
CONSTRAINTS = {
    "hold_is_open_once_in_term": (SQLITE, NO_SUCH_HOLD),
    "hold_is_open_once": (SQLITE, NO_SUCH_HOLD),
    "hold_ends_after_it_starts": (SQLITE, NO_SUCH_HOLD),
    "hold_is_released_at_a_time": (SQLITE, NO_SUCH_HOLD),
    "refused_act_is_one_a_day": (
        SQLITE,
        "tests/students/test_refused.py::test_the_database_keeps_one_refusal_per_day_student_course_and_action",
    ),
    "term_drop_deadline_is_within_its_dates": (
        SQLITE,
        "tests/courses/test_renames.py::test_the_database_refuses_a_drop_deadline_outside_the_term",
    ),
    "course_is_cancelled_once": (
        SQLITE,
        "tests/students/test_cancellations.py::test_the_database_refuses_two_cancellations_of_a_course",
    ),
    "term_census_is_within_its_dates": (
        SQLITE,
        "tests/courses/test_constraints.py::test_a_census_day_lies_within_its_term",
    ),
    "term_ends_after_it_starts": (
        SQLITE,
        "tests/courses/test_constraints.py::test_the_database_refuses_a_term_that_ends_before_it_starts",
    ),
    "course_code_is_unique_in_a_term": (
        SQLITE,
        "tests/courses/test_constraints.py::test_the_database_refuses_a_duplicate_code_in_a_term",
    ),
    "course_code_is_unique_without_a_term": (
        SQLITE,
        "tests/courses/test_constraints.py::test_the_database_refuses_a_duplicate_code_without_a_term",
    ),
    "course_capacity_is_not_negative": (POSTGRESQL, NO_SUCH_COURSE),
    "course_waitlist_capacity_is_not_negative": (POSTGRESQL, NO_SUCH_COURSE),
    "course_credits_are_not_negative": (SQLITE, f"{NO_NEGATIVE_CREDITS}[make_course-credits]"),
    "term_max_credits_is_not_negative": (SQLITE, f"{NO_NEGATIVE_CREDITS}[make_term-max_credits]"),
    "student_max_credits_is_not_negative": (SQLITE, f"{NO_NEGATIVE_CREDITS}[make_student-max_credits]"),
    "course_enrollment_closes_after_it_opens": (SQLITE, NO_SUCH_COURSE),
    "course_level_is_known": (SQLITE, NO_SUCH_COURSE),
    "grade_rank_is_unique": (
        SQLITE,
        "tests/courses/test_constraints.py::test_the_database_refuses_two_grades_with_one_rank",
    ),
    "course_grade_rank_is_not_negative": (
        POSTGRESQL,
        "tests/courses/test_constraints.py::test_the_database_refuses_a_negative_rank",
    ),
    "course_staff_is_named_once": (
        SQLITE,
        "tests/courses/test_constraints.py::test_the_database_refuses_a_duplicate_member_of_the_course_staff",
    ),
    "student_email_is_unique": (
        SQLITE,
        "tests/students/test_constraints.py::test_the_database_refuses_a_duplicate_email_address_in_any_case",
    ),
    "student_has_a_name": (
        SQLITE,
        "tests/students/test_constraints.py::test_the_database_refuses_a_student_without_a_name",
    ),
    "student_is_nobody_once_erased": (
        SQLITE,
        "tests/students/test_constraints.py::test_the_database_refuses_a_name_for_an_erased_student",
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
    "enrollment_replaces_another_course_while_it_waits": (
        SQLITE,
        "tests/students/test_swaps.py"
        "::test_the_database_refuses_a_wish_of_a_student_who_does_not_wait_or_for_the_same_course[enrolled]",
    ),
}

GUARDS = [
    Mutant(
        "the undo of a cancellation keeps enrollments that have changed since",
        SQLITE,
        "tests/students/test_cancellations.py"
        "::test_the_undo_keeps_enrollments_that_have_changed_since_and_those_of_erased_students",
        instead(
            "students/enrollment/cancellation.py",
            " and last_events[each.key].pk == dropped[each.student_id]",
            "",
        ),
    ),
    Mutant(
        "the undo of a cancellation waives what was waived",
        SQLITE,
        "tests/students/test_cancellation_waivers.py::test_a_waiver_of_a_promoted_student_is_restored",
        instead("students/enrollment/cancellation.py", "batch.context.undo_waivers = {", "batch.context.holds = {"),
    ),
    Mutant(
        "a cancellation requires the scope of enrollments",
        SQLITE,
        "tests/students/test_cancellations.py::test_both_scopes_are_required",
        instead(
            "students/api/cancellations.py",
            "if not is_permitted(request, ENROLLMENT_SCOPE, ENROLLMENT_PERMISSION)",
            "if False",
        ),
    ),
    Mutant(
        "a copy leaves out the courses that the term has",
        SQLITE,
        "tests/courses/test_term_copy.py::test_a_course_that_the_term_has_already_is_left_out",
        instead("courses/term_copy.py", "if tuple(values[key] for key in keys) not in existing:", "if True:"),
    ),
    Mutant(
        "a file assigns staff only with the permission",
        SQLITE,
        "tests/courses/test_term_copy.py::test_an_api_client_cannot_assign_staff_by_a_file",
        instead("courses/staff_column.py", "if names and STAFF not in self.job.rights:", "if False:"),
    ),
    Mutant(
        "a list of an earlier time takes back the entries after it in the order of their ids",
        SQLITE,
        "tests/students/test_as_of.py"
        "::test_an_import_entry_with_an_earlier_time_than_the_one_before_it_is_not_shown_too_early",
        instead(
            "students/events/as_of.py",
            '" ORDER BY e.id + 0 LIMIT 1), c.status)"',
            '" ORDER BY e.at LIMIT 1), c.status)"',
        ),
    ),
    Mutant(
        "no list is of a time before the journal",
        SQLITE,
        "tests/students/test_as_of.py::test_a_time_without_enrollments_to_show_is_refused",
        instead("students/as_of_parameter.py", "    check_kept(instant)\n", ""),
    ),
    Mutant(
        "no list is of a future time",
        SQLITE,
        "tests/students/test_as_of.py::test_a_time_without_enrollments_to_show_is_refused",
        instead("students/as_of_parameter.py", "    if instant > now:\n", "    if False:\n"),
    ),
    Mutant(
        "a limited client does not learn the terms of others from a census day",
        SQLITE,
        "tests/students/test_as_of.py::test_a_limited_client_sees_only_its_own_rows_and_terms",
        instead(
            "students/api/filters.py",
            "terms if row_scope is None else filter_by_scope(terms, row_scope)",
            "terms",
        ),
    ),
    Mutant(
        "an instant has an offset",
        SQLITE,
        "tests/school/test_strict_input.py::test_a_body_accepts_datetimes_in_one_format_only",
        instead(
            "school/api/fields.py",
            "        return parse_instant(data)\n",
            "        return super().to_internal_value(data)\n",
        ),
    ),
    Mutant(
        "a parameter that takes one value is given once, in a list",
        SQLITE,
        "tests/school/test_strict_input.py::test_every_single_valued_list_parameter_is_rejected_when_repeated",
        instead(
            "school/api/query_parameters.py",
            "        elif len(values) > 1 and name not in repeatable:\n",
            "        elif False:\n",
        ),
    ),
    Mutant(
        "an option of a file is given once",
        SQLITE,
        "tests/school/test_strict_input.py::test_an_import_option_given_in_query_and_form_is_rejected",
        instead("bulk/api/uploads.py", "    if repeated_names:\n", "    if False:\n"),
    ),
    Mutant(
        "only known constraints are a conflict",
        SQLITE,
        "tests/school/test_constraints.py::test_a_constraint_that_no_model_declares_returns_500",
        instead(
            "school/db/constraints.py", "    return constraint\n", '    return constraint or ConstraintInfo("any")\n'
        ),
    ),
    Mutant(
        "the lock on the rows of courses",
        POSTGRESQL,
        NO_SEAT_TWICE,
        instead("students/enrollment/loading.py", '.select_for_update(of=("self",), no_key=True)', ""),
    ),
    Mutant(
        "the lock of a student for the sections of a course",
        POSTGRESQL,
        "tests/races/test_sections.py::test_parallel_enrollments_in_two_sections_leave_exactly_one",
        instead("students/enrollment/other_courses_loading.py", ', "FOR NO KEY UPDATE")', ")"),
    ),
    Mutant(
        "the rule of one section",
        SQLITE,
        "tests/students/test_sections.py::test_a_student_of_one_section_is_refused_in_another",
        instead("students/enrollment/rules.py", "    no_other_section,\n    credits", "    credits"),
    ),
    Mutant(
        "a swap of a course without a seat is refused",
        SQLITE,
        "tests/students/test_swaps.py::test_only_a_course_with_a_seat_can_be_swapped[waitlisted]",
        instead(
            "students/enrollment/rules.py",
            "    swap_names_two_courses,\n    swapped_course_has_seat,\n",
            "    swap_names_two_courses,\n",
        ),
    ),
    Mutant(
        "a swap of a course with itself is refused",
        SQLITE,
        "tests/students/test_swaps.py::test_a_swap_with_itself_is_refused",
        instead("students/enrollment/rules.py", "    swap_names_two_courses,\n", ""),
    ),
    Mutant(
        "a swap for a course that the student has already",
        SQLITE,
        "tests/students/test_swaps_of_open.py::test_a_wish_can_be_replaced_and_its_undo_restores_the_one_before",
        instead(
            "students/enrollment/transitions.py",
            "return keeps_status(command, context) and _is_swapped(command, context)",
            "return keeps_status(command, context)",
        ),
    ),
    Mutant(
        "the rules are asked as if the old enrollment were gone",
        SQLITE,
        "tests/students/test_swaps.py::test_the_rules_are_asked_as_if_the_old_enrollment_were_gone",
        instead(
            "students/enrollment/rules.py",
            "leaves = context.course_to_leave(command)",
            "leaves = None",
        ),
    ),
    Mutant(
        "a promotion ends the enrollment that the student swaps",
        SQLITE,
        "tests/students/test_swaps.py::test_a_student_who_waits_for_a_swap_keeps_the_seat_until_the_promotion",
        instead(
            "students/enrollment/batch.py",
            "                if replaced:\n                    self._end(",
            "                if False:\n                    self._end(",
        ),
    ),
    Mutant(
        "the courses that waiting students leave are loaded",
        SQLITE,
        "tests/students/test_swaps.py::test_chains_of_swaps_are_followed_to_their_end",
        instead(
            "students/enrollment/waitlist_loading.py",
            "    return course_ids - context.courses.keys()",
            "    return set()",
        ),
    ),
    Mutant(
        "sections that wait for a seat are looked at again",
        SQLITE,
        "tests/students/test_sections.py"
        "::test_a_promotion_passes_over_a_student_of_another_section_until_the_student_leaves_it",
        instead("courses/models.py", " | Q(has_other_sections(path))", ""),
    ),
    Mutant(
        "a new section waits for enrollments in the others",
        POSTGRESQL,
        "tests/races/test_sections.py::test_a_section_is_added_only_after_enrollments_that_have_not_seen_it[post]",
        instead("courses/api/views.py", '        lock_sections(serializer.validated_data["code"])\n', ""),
    ),
    Mutant(
        "triggers of tables that are built anew",
        SQLITE,
        "tests/courses/test_sections.py::test_migrations_on_sqlite_keep_the_triggers_of_tables_that_they_build_anew",
        instead("school/db/sqlite/schema.py", "        for sql in triggers:", "        for sql in ():"),
    ),
    Mutant(
        "a database that lacks replaced migrations",
        SQLITE,
        "tests/school/test_replaced_migrations.py::test_a_database_between_replaced_migrations_is_refused",
        instead(
            "school/db/migration_check.py",
            "if missing_removed_migration(loader, loader.applied_migrations):",
            "if False:",
        ),
    ),
    Mutant(
        "tables and the record of their migration in one transaction",
        SQLITE,
        "tests/served/test_killed_migration.py::test_tables_exist_only_with_the_record_of_their_migration",
        instead("students/migrations/0001_tables.py", "        run_deferred_statements(),\n", ""),
    ),
    Mutant(
        "a file with failed rows is applied again",
        SQLITE,
        "tests/bulk/test_lifecycle.py::test_a_file_with_failed_rows_can_be_imported_again_until_no_row_fails",
        instead("bulk/jobs/submission.py", "last.state != State.DONE or last.errors or ", ""),
    ),
    Mutant(
        "an approval clears a late cancel",
        SQLITE,
        "tests/bulk/test_lifecycle.py::test_a_late_cancel_does_not_cancel_a_later_approval",
        instead("bulk/jobs/import_actions.py", "at=timezone.now(), wants_cancel=False)", "at=timezone.now())"),
    ),
    Mutant(
        "a cancel is read before a preview is committed",
        SQLITE,
        "tests/bulk/test_lifecycle.py::test_a_cancel_while_a_preview_is_saved_cancels_the_import",
        instead(
            "bulk/jobs/import_run.py",
            "        self.lease.save_progress(writer.rows)\n        self.lease.check_cancelled()",
            "        self.lease.save_progress(writer.rows)\n        (self.lease.check_cancelled)",
        ),
    ),
    Mutant(
        "a worker survives the error of an import",
        SQLITE,
        "tests/bulk/test_lifecycle.py::test_an_error_does_not_stop_the_worker_and_three_attempts_fail_the_import",
        instead(
            "bulk/jobs/worker.py",
            "    except Exception as error:  # an error of one import must",
            "    except ZeroDivisionError as error:  # an error of one import must",
        ),
    ),
    Mutant(
        "an import of a command fails at an unexpected error",
        SQLITE,
        "tests/bulk/test_lifecycle.py::test_no_worker_continues_a_command_import_that_an_unexpected_error_has_ended",
        instead("bulk/commands/processing_command.py", "is_last_attempt=True", "is_last_attempt=False"),
    ),
    Mutant(
        "datasets are those of a client",
        SQLITE,
        "tests/bulk/test_lifecycle.py::test_clients_and_staff_have_separate_datasets",
        instead("bulk/models.py", "client=key.client_id, dataset=key.name", "dataset=key.name"),
    ),
    Mutant(
        "a client sees its own imports only",
        SQLITE,
        "tests/bulk/test_lifecycle.py::test_a_client_sees_only_its_own_imports",
        instead("bulk/models.py", "return self.filter(client=account_id)", "return self.all()"),
    ),
    Mutant(
        "a second import does not wait until the first one is received",
        POSTGRESQL,
        "tests/bulk/test_lifecycle.py::test_a_second_file_is_refused_while_the_first_one_is_still_received",
        instead("bulk/jobs/dataset_lock.py", "            if not _try_lock(dataset):", "            if False:"),
    ),
    Mutant(
        "nothing is done but what was shown",
        SQLITE,
        "tests/students/test_acting.py::test_action_is_not_executed_when_its_result_would_differ_from_the_preview",
        instead(
            "students/enrollment/service.py",
            "    if result.fingerprint != fingerprint:\n",
            "    if not fingerprint:\n",
        ),
    ),
    Mutant(
        "who follows by itself is part of what was shown",
        SQLITE,
        "tests/students/test_acting.py::test_action_is_not_executed_when_its_result_would_differ_from_the_preview",
        instead("students/enrollment/preview.py", ", *(_event_digest(*each) for each in self.side_effects)]", "]"),
    ),
    Mutant(
        "who waits leaves before a seat comes free for them",
        SQLITE,
        "tests/students/test_acting.py::test_waitlisted_students_are_dropped_before_a_seat_is_freed",
        instead("students/admin/actions/bulk_actions.py", "row.status != Status.WAITLISTED, row.pk", "row.pk"),
    ),
    Mutant(
        "who is moved up waits still",
        SQLITE,
        "tests/students/test_acting.py::test_a_student_who_leaves_the_waitlist_after_it_was_read_is_not_enrolled",
        instead(
            "students/admin/actions/bulk_actions.py",
            "(row.pk, row.version) if bulk_action is PROMOTE else None",
            "None",
        ),
    ),
    Mutant(
        "pages go back to local paths only",
        SQLITE,
        "tests/students/test_acting.py::test_redirects_never_lead_to_another_host",
        instead(
            "students/admin/actions/result.py",
            'next_url.startswith("/") and url_has_allowed_host_and_scheme(next_url, allowed_hosts=None)',
            "next_url",
        ),
    ),
    Mutant(
        "what was asked about making active is taken back",
        SQLITE,
        "tests/students/test_activity.py::test_activation_is_not_executed_when_the_data_changed_after_the_preview",
        instead("students/admin/actions/activate.py", "                transaction.set_rollback(True)\n", ""),
    ),
    Mutant(
        "the lock of promotion",
        POSTGRESQL,
        "tests/races/test_waitlist.py::test_a_student_promoted_by_many_simultaneous_calls_is_promoted_once",
        instead(
            "students/enrollment/loading.py",
            "(commands, unlocked, LOCK_COURSES, ",
            "(commands, unlocked, LOCK_COURSES if commands else COURSES_WITH_SEATS, ",
        ),
    ),
    Mutant(
        "the lock on a row that is edited",
        POSTGRESQL,
        "tests/races/test_seats.py::test_two_simultaneous_changes_of_different_fields_are_both_kept",
        instead(
            "school/api/base_views.py", "_base_manager.select_for_update(no_key=changes_only)", "_base_manager.all()"
        ),
    ),
    Mutant(
        "the lock on the students of an act",
        POSTGRESQL,
        "tests/races/test_students.py::test_a_command_waits_for_a_student_being_deactivated_and_is_refused",
        instead(
            "students/enrollment/loading.py",
            "lambda ids: _students_by_id(ids), KEY_SHARE)",
            "lambda ids: _students_by_id(ids))",
        ),
    ),
    Mutant(
        "the lock on a student who is deactivated",
        POSTGRESQL,
        "tests/races/test_students.py::test_deactivating_a_student_waits_for_the_commit_of_an_enrollment",
        instead(
            "students/enrollment/service.py",
            'students.select_for_update().order_by("pk")',
            'students.order_by("pk")',
        ),
    ),
    Mutant(
        "the digest in a cursor of the change feed",
        SQLITE,
        AFTER_A_RESTORE,
        instead("students/events/feed.py", 'position.digest not in ("", *digests)', "False"),
    ),
    Mutant(
        "READ COMMITTED, whatever the server says",
        POSTGRESQL,
        "tests/races/test_seats.py::test_under_repeatable_read_no_seat_is_given_twice",
        instead("school/db/settings.py", '    options["isolation_level"] = IsolationLevel.READ_COMMITTED\n', ""),
    ),
    Mutant(
        "another try after a deadlock",
        POSTGRESQL,
        "tests/races/test_retry.py::test_after_a_deadlock_the_transaction_is_repeated_and_applied_once",
        instead("school/db/retry.py", "MAX_TRIES = 4", "MAX_TRIES = 1"),
    ),
    Mutant(
        "the order in which seats are given",
        SQLITE,
        NEXT_IN_LINE,
        instead(
            "students/enrollment/promotion_candidates.py",
            "list(context.waitlists.get(course_id, ()))",
            "list(context.waitlists.get(course_id, ()))[::-1]",
        ),
    ),
    Mutant(
        "the order in which a line is read",
        SQLITE,
        NEXT_IN_LINE,
        instead(
            "students/models/enrollment.py",
            '"course", "waitlisted_at", "id")\n',
            '"course", "-waitlisted_at", "-id")\n',
        ),
    ),
    Mutant(
        "a free seat is kept for who waits",
        SQLITE,
        "tests/students/test_waitlist.py::test_a_new_request_does_not_take_a_free_seat_while_a_student_is_waitlisted",
        instead(
            "students/enrollment/transitions.py",
            "is_next = not context.waitlist_lengths[command.course_id] or",
            "is_next = True or",
        ),
    ),
    Mutant(
        "a writer's announcement in the journal",
        POSTGRESQL,
        LATE_COMMIT,
        instead("students/events/journal.py", "needs_marker = events and ON_POSTGRESQL", "needs_marker = False"),
    ),
    Mutant(
        "the horizon up to which changes are read",
        POSTGRESQL,
        LATE_COMMIT,
        instead("students/events/feed.py", "cached_watermark() if ON_POSTGRESQL else math.inf", "math.inf"),
    ),
    *(
        Mutant(
            f"the markers of the writers of the history of {name}",
            POSTGRESQL,
            f"{LATE_VERSION}[a saved {name}]",
            instead(migration, f'        set_markers_of_writers("{table}", {marker_class}),\n', ""),
        )
        for name, migration, table, marker_class in (
            ("course", "courses/migrations/0001_tables.py", "courses_historicalcourse", "0x5C52"),
            ("term", "courses/migrations/0001_tables.py", "courses_historicalterm", "0x5C53"),
            ("student", "students/migrations/0001_tables.py", "students_historicalstudent", "0x5C51"),
        )
    ),
    Mutant(
        "the scopes of the kinds in the change feed",
        SQLITE,
        "tests/students/test_changes_of_kinds.py::test_each_kind_needs_the_scope_to_read_it",
        instead("students/api/changes.py", '            check_kinds(request, parameters["kinds"])\n', ""),
    ),
    Mutant(
        "the limits of a client in the histories",
        SQLITE,
        "tests/students/test_changes_of_kinds.py::test_a_limited_reader_sees_the_versions_of_courses_in_its_own_terms",
        instead("school/access/row_scope.py", " & in_visible_term", ""),
    ),
    Mutant(
        "the version of an erased student who was deleted",
        SQLITE,
        "tests/students/test_changes_of_kinds.py::test_the_erasure_of_a_deleted_student_is_a_line_too",
        instead("students/privacy/erase.py", "            _add_version(person, actor)\n", "            pass\n"),
    ),
    *(
        Mutant(
            f"the trigger that keeps the journal ({engine})",
            engine,
            APPEND_ONLY,
            instead(
                "students/migrations/0001_tables.py",
                '        refuse_changes("students_enrollmentevent", "journal", '
                '"The journal of enrollments is append-only."),\n',
                "",
            ),
        )
        for engine in (SQLITE, POSTGRESQL)
    ),
    Mutant(
        "BEGIN IMMEDIATE",
        SQLITE,
        SIXTEEN,
        instead("school/db/settings.py", '        "transaction_mode": "IMMEDIATE",\n', ""),
    ),
    Mutant(
        "the turns of SQLite's writers",
        SQLITE,
        "tests/served/test_sqlite_writers.py::test_a_waiting_writer_gets_the_lock_before_a_returning_one",
        instead("school/db/settings.py", '"ENGINE": "school.db.sqlite"', '"ENGINE": SQLITE'),
    ),
    Mutant(
        "the limits of a client on what it reads",
        SQLITE,
        WHO_MAY,
        instead("school/access/row_scope.py", "    if row_scope is None:\n        return rows\n", "    return rows\n"),
    ),
    Mutant(
        "the limits of a client on enrollments",
        SQLITE,
        WHO_MAY,
        instead(
            "students/api/base_views.py",
            "    RowScopeMixin, StrictQueryMixin, SparseFields",
            "    StrictQueryMixin, SparseFields",
        ),
    ),
    Mutant(
        "the limits of a client on what it adds",
        SQLITE,
        "tests/school/test_limits.py::test_a_limited_client_cannot_add_students_or_probe_for_taken_numbers",
        instead(
            "school/api/base_views.py",
            "        check_can_add(self.permission_model, row_scope_of(request))\n        serializer",
            "        serializer",
        ),
    ),
    Mutant(
        "the limits of a client on a row that PUT creates",
        SQLITE,
        f"{PUT}::test_a_limited_client_creates_only_courses_in_its_terms",
        instead(
            "school/api/base_views.py",
            "        check_can_add(self.permission_model, row_scope_of(request))\n        refuse_if_match",
            "        refuse_if_match",
        ),
    ),
    Mutant(
        "the permission to add a row by PUT",
        SQLITE,
        f"{PUT}::test_a_staff_user_needs_both_permissions_for_a_creation",
        instead("school/api/base_views.py", '        check_permissions(request, self, ["add"])\n', ""),
    ),
    Mutant(
        "the limits of a client on a row that a batch creates",
        SQLITE,
        f"{BATCHES}::test_a_limited_client_changes_no_students_and_creates_no_terms",
        instead("school/api/batches.py", "check_can_add(self.permission_model, row_scope_of(self.request))", "pass"),
    ),
    Mutant(
        "the limits of a client on a row that a batch changes",
        SQLITE,
        f"{BATCHES}::test_a_limited_client_changes_no_students_and_creates_no_terms",
        instead("school/api/batches.py", "instance.pk not in changeable", "False"),
    ),
    Mutant(
        "the codes of a batch that a limited client does not see",
        SQLITE,
        f"{BATCHES}::test_a_limited_client_changes_only_courses_within_its_limits",
        instead("courses/api/views.py", "items if row_scope_of(self.request) is None else ()", "items"),
    ),
    Mutant(
        "the key that a batch repeats with other values",
        SQLITE,
        f"{BATCHES}::test_a_key_can_be_repeated_only_with_the_same_values",
        instead(
            "school/api/batches.py", "earlier != index and self.natural_key.differ(bodies[earlier], body)", "False"
        ),
    ),
    Mutant(
        "the rollback of an atomic batch",
        SQLITE,
        f"{BATCHES}::test_an_atomic_batch_is_applied_as_a_whole_or_not_at_all",
        instead("school/api/batches.py", "            transaction.set_rollback(True)\n", ""),
    ),
    Mutant(
        "the personal data of an erased student in a batch",
        SQLITE,
        f"{BATCHES}::test_an_erased_student_cannot_be_changed",
        instead(
            "students/imports/object_savers.py",
            '("student_has_a_name", "student_is_nobody_once_erased")',
            '("student_has_a_name",)',
        ),
    ),
    Mutant(
        "If-None-Match of a PUT",
        SQLITE,
        f"{PUT}::test_if_none_match_allows_only_a_creation",
        instead(
            "school/api/etags.py",
            "    if matches_if_none_match(request, etag):\n        message",
            "    if False:\n        message",
        ),
    ),
    Mutant(
        "If-Match of a PUT that would create a row",
        SQLITE,
        f"{PUT}::test_if_match_allows_only_a_replacement",
        instead("school/api/base_views.py", "        refuse_if_match(request)\n", ""),
    ),
    Mutant(
        "the key of a row that PUT creates",
        SQLITE,
        f"{PUT}::test_a_creation_needs_the_key_of_the_url",
        instead("school/api/base_views.py", "if errors := _key_errors(request.data, key):", "if errors := None:"),
    ),
    Mutant(
        "the second try of a PUT whose key another request has saved",
        POSTGRESQL,
        f"{PUT}::test_of_parallel_requests_for_a_new_key_one_creates_the_row",
        instead("school/api/base_views.py", "if key is None or not _is_conflict(error):", "if True:"),
    ),
    Mutant(
        "the limits of a client on where it moves a course",
        SQLITE,
        "tests/school/test_limits.py::test_a_limited_client_cannot_move_a_course_outside_its_limits",
        instead(
            "courses/api/serializers.py", "            self._refuse_key_outside_limits(attrs)\n", "            pass\n"
        ),
    ),
    Mutant(
        "the permissions that staff with own courses only keep",
        SQLITE,
        "tests/security/test_own_courses.py::test_a_forged_form_writes_nothing_and_names_no_other_course",
        instead(
            "school/settings.py",
            '    "school.accounts.backends.OwnCoursesBackend",  # precedes the backend that grants permissions\n',
            "",
        ),
    ),
    Mutant(
        "the choices of a form for staff with own courses only",
        SQLITE,
        "tests/security/test_own_courses.py::test_no_form_lists_a_row_of_another_course",
        instead(
            "school/admin_site/row_access.py",
            "        field.queryset = _filter_rows(request, field.queryset)\n",
            "        pass\n",
        ),
    ),
    Mutant(
        "the permission to save an earlier version",
        SQLITE,
        "tests/security/test_admin_access.py::test_a_user_without_change_permission_cannot_restore_an_earlier_version",
        instead(
            "school/admin_site/row_access.py", "                raise PermissionDenied\n", "                pass\n"
        ),
    ),
    Mutant(
        "the codes that a limited client does not see",
        SQLITE,
        "tests/security/test_limited_clients.py::test_a_list_contains_only_prerequisites_within_the_limits",
        instead("courses/prerequisites.py", "if row_scope is None or not row_scope.is_client:", "if True:"),
    ),
    Mutant(
        "the limits of a client in a batch",
        SQLITE,
        "tests/school/test_limits.py::test_batch_items_outside_the_limits_are_not_found_and_the_others_run",
        instead("students/api/batch_items.py", 'hidden_courses.get(body["course_id"])', "None"),
    ),
    Mutant(
        "the limits of a client in a file",
        SQLITE,
        "tests/school/test_limits.py::test_import_rows_outside_the_limits_are_errors",
        instead(
            "students/imports/enrollments.py",
            "filter_by_scope(Course.objects.all(), self.row_scope)",
            "Course.objects.all()",
        ),
    ),
    Mutant(
        "the limits of a client in an undo",
        SQLITE,
        "tests/school/test_limits.py::test_an_undo_reverts_only_rows_within_the_current_limits",
        instead(
            "students/imports/enrollment_undo.py",
            "filter_by_scope(EnrollmentEvent.objects.all(), self.row_scope)",
            "EnrollmentEvent.objects",
        ),
    ),
    Mutant(
        "a full file's row of a known student and an unknown course",
        SQLITE,
        "tests/bulk/test_full.py::test_a_full_file_keeps_an_enrollment_that_a_faulty_row_may_refer_to[F20,M-I,,-course_not_found-term:2026F]",
        instead(
            "students/imports/listed_rows.py",
            "((student_id, UNKNOWN_ID), (UNKNOWN_ID, course_id), (UNKNOWN_ID, UNKNOWN_ID))",
            "((UNKNOWN_ID, course_id), (UNKNOWN_ID, UNKNOWN_ID))",
        ),
    ),
    Mutant(
        "a full file's row of an unknown student and a known course",
        SQLITE,
        "tests/bulk/test_full.py::test_a_full_file_keeps_an_enrollment_that_a_faulty_row_may_refer_to[F2O,M-1,,-student_not_found-term:2026F]",
        instead(
            "students/imports/listed_rows.py",
            "((student_id, UNKNOWN_ID), (UNKNOWN_ID, course_id), (UNKNOWN_ID, UNKNOWN_ID))",
            "((student_id, UNKNOWN_ID), (UNKNOWN_ID, UNKNOWN_ID))",
        ),
    ),
    Mutant(
        "a full file's row of an unknown student and an unknown course",
        SQLITE,
        "tests/bulk/test_full.py::test_a_full_file_keeps_an_enrollment_that_a_faulty_row_may_refer_to[F2O,M-I,,-student_not_found-term:2026F]",
        instead(
            "students/imports/listed_rows.py",
            "((student_id, UNKNOWN_ID), (UNKNOWN_ID, course_id), (UNKNOWN_ID, UNKNOWN_ID))",
            "((student_id, UNKNOWN_ID), (UNKNOWN_ID, course_id))",
        ),
    ),
    Mutant(
        "a full file's row that cannot be read",
        SQLITE,
        "tests/bulk/test_full.py::test_a_full_file_with_an_unreadable_row_drops_nobody[skip]",
        instead("students/imports/enrollments.py", "self.listed.add([*unreadable, *map", "self.listed.add([*map"),
    ),
    Mutant(
        "a full file's row of a course outside of the scope",
        SQLITE,
        "tests/bulk/test_full.py::test_a_full_file_keeps_an_enrollment_that_a_faulty_row_may_refer_to[F20,M-2,,-out_of_scope-term:2026F]",
        instead(
            "students/imports/enrollments.py",
            "if isinstance(course, Course) and is_in_scope else UNKNOWN_ID",
            "if isinstance(course, Course) else UNKNOWN_ID",
        ),
    ),
    Mutant(
        "the enrollments of other sources in a full import",
        SQLITE,
        "tests/bulk/test_full.py::test_a_full_file_drops_only_enrollments_made_by_its_dataset[skip]",
        instead(
            "students/imports/full_files.py",
            "kept_outcomes = {} if self.takes_over else self.scope.kept_by_source(unlisted)",
            "kept_outcomes: dict[int, str] = {}",
        ),
    ),
    Mutant(
        "the brake of a full import on its own enrollments",
        SQLITE,
        "tests/bulk/test_full.py::test_a_full_file_drops_only_enrollments_made_by_its_dataset[skip]",
        instead(
            "students/imports/full_files.py",
            "(self.scope.enrollments() if self.takes_over else self.scope.own_enrollments())",
            "self.scope.enrollments()",
        ),
    ),
    Mutant(
        "the end of what a full file does not list before its rows",
        SQLITE,
        "tests/bulk/test_full.py::test_a_full_file_exchanges_students_in_a_full_course[True-skip]",
        instead(
            "bulk/jobs/import_run.py",
            "                self._drop_unlisted()\n                self._apply_rows()\n",
            "                self._apply_rows()\n                self._drop_unlisted()\n",
        ),
    ),
    Mutant(
        "the end of what a full file's rows end before its other rows",
        SQLITE,
        "tests/bulk/test_full.py::test_a_full_file_row_that_ends_an_enrollment_frees_a_seat_for_an_earlier_row[dropped-skip]",
        instead(
            "students/imports/full_files.py",
            "            self._lock(commands, context)\n            self._end_locked(commands, context)\n",
            "            pass\n",
        ),
    ),
    Mutant(
        "the seats that a full file frees for its rows",
        SQLITE,
        "tests/bulk/test_full.py::test_rows_of_a_full_file_precede_the_waitlist_and_it_gets_the_remaining_seats[skip]",
        instead("students/enrollment/transitions.py", " or command.course_id in context.before_waitlist", ""),
    ),
    Mutant(
        "the seats that a full file frees until its rows are through",
        SQLITE,
        "tests/bulk/test_full.py::test_rows_of_a_full_file_precede_the_waitlist_and_it_gets_the_remaining_seats[skip]",
        instead("students/enrollment/batch.py", "if course_id not in self.context.before_waitlist:", "if course_id:"),
    ),
    Mutant(
        "the seats of a full import that is cancelled",
        SQLITE,
        "tests/bulk/test_full.py::test_freed_seats_of_a_cancelled_full_import_go_to_the_waitlist[False]",
        instead(
            "bulk/jobs/import_run.py",
            "                self._finish_parts()\n                raise\n",
            "                raise\n",
        ),
    ),
    Mutant(
        "the end of a full import's enrollments once",
        SQLITE,
        "tests/bulk/test_full.py::test_a_killed_full_import_drops_each_student_once_and_counts_its_rows[2]",
        instead(
            "bulk/jobs/import_run.py", "job.mode != Mode.FULL or job.unlisted is not None", "job.mode != Mode.FULL"
        ),
    ),
    Mutant(
        "the undo of an adoption",
        SQLITE,
        "tests/bulk/test_full.py::test_undoing_an_import_reverts_its_adoptions",
        instead(
            "students/enrollment/last_events_loading.py", ".exclude(action=Action.ADOPT, file_import__in=undone)", ""
        ),
    ),
    Mutant(
        "an undo by hand that passes over adoptions",
        SQLITE,
        "tests/bulk/test_full.py::test_a_manual_undo_reverts_the_change_before_an_adoption[False]",
        instead(
            "students/enrollment/last_events_loading.py",
            "event.action != Action.ADOPT or import_ids[event.enrollment.key]",
            "event",
        ),
    ),
    Mutant(
        "a preview on a temporary copy",
        SQLITE,
        "tests/bulk/test_temporary_copy.py::test_another_connection_writes_without_waiting_during_a_preview[wish0]",
        instead("bulk/jobs/import_run.py", "nullcontext() if may_commit else temporary_copy()", "nullcontext()"),
    ),
    Mutant(
        "a preview on a temporary copy that hears of a lost lease",
        SQLITE,
        "tests/bulk/test_temporary_copy.py::test_a_preview_on_a_copy_stops_when_its_lease_is_lost",
        instead("bulk/jobs/leases.py", "        if self.is_lost:\n            raise LeaseLost\n", ""),
    ),
    Mutant(
        "the enrollments that an approval has shown",
        SQLITE,
        "tests/bulk/test_full.py::test_an_approval_drops_only_the_students_of_the_preview",
        instead("bulk/row_result_store.py", 'f"id {result.object_id}"', '"0"'),
    ),
    Mutant(
        "a code that moves to another course between two chunks",
        SQLITE,
        "tests/bulk/test_full.py::test_a_code_moved_to_another_course_refers_to_it_from_the_next_chunk",
        instead(
            "students/imports/enrollments.py",
            "        self.courses = {}\n        self.student_ids = {}\n",
            "        self.student_ids = {}\n",
        ),
    ),
    Mutant(
        "the end of what is remembered of a token",
        SQLITE,
        "tests/school/test_grants.py::test_a_revoked_or_narrowed_token_loses_access_after_thirty_seconds",
        instead("school/api/token_grants.py", "if entry and monotonic() < entry[0] else", "if entry else"),
    ),
    Mutant(
        "the scopes of a client above those of its tokens",
        SQLITE,
        "tests/school/test_grants.py::test_a_revoked_or_narrowed_token_loses_access_after_thirty_seconds",
        instead("school/api/token_grants.py", " & frozenset(get_scopes_backend().get_available_scopes(client))", ""),
    ),
    Mutant(
        "the condition of SQLite's counting",
        SQLITE,
        "tests/school/test_throttling.py::test_a_request_over_the_limit_returns_429_with_retry_after",
        instead("school/http/rate_counter.py", "            WHERE taken < :most OR began <= :now - :window\n", ""),
    ),
    Mutant(
        "the condition of PostgreSQL's counting",
        POSTGRESQL,
        "tests/school/test_throttling.py::test_a_request_over_the_limit_returns_429_with_retry_after",
        instead("school/migrations/_request_counter.py", " WHERE counted.taken + wanted <= most", ""),
    ),
    Mutant(
        "the lock of who begins a window of counting",
        POSTGRESQL,
        "tests/served/test_throttling.py::test_a_request_waits_for_the_one_that_starts_the_window",
        instead(
            "school/migrations/_request_counter.py",
            "        PERFORM pg_advisory_xact_lock(23619, hashtext(whose));\n",
            "",
        ),
    ),
    Mutant(
        "the order in which forwarded addresses are read",
        SQLITE,
        "tests/school/test_addresses.py::test_client_ip_is_the_rightmost_address_that_is_not_a_trusted_proxy",
        instead("school/http/client_ip.py", "in reversed(forwarded)", "in forwarded"),
    ),
    Mutant(
        "the lock on a client that is guessed at",
        SQLITE,
        "tests/school/test_logins.py::test_the_right_client_secret_is_rejected_after_five_wrong_ones",
        instead(
            "school/api/client_token_view.py", "if not AxesProxyHandler.is_allowed(request, credentials):", "if False:"
        ),
    ),
    Mutant(
        "the lock on a name, for its address alone",
        SQLITE,
        "tests/school/test_logins.py::test_a_lockout_applies_to_one_username_at_one_client_address",
        instead("school/settings.py", '[["username", "ip_address"]]', '["username", "ip_address"]'),
    ),
    Mutant(
        "nothing to lock for OPTIONS",
        POSTGRESQL,
        "tests/security/test_access.py::test_options_answers_an_authorized_client_without_reading_the_row",
        instead("school/api/settings.py", '    "DEFAULT_METADATA_CLASS": "school.api.metadata.Metadata",\n', ""),
    ),
    Mutant(
        "the end of a request's patience",
        POSTGRESQL,
        "tests/served/test_database_away.py::test_a_frozen_database_is_reported_in_time_and_reconnected",
        instead("school/db/settings.py", '        options["wait_budget"] = database_timeout\n', "        pass\n"),
    ),
    Mutant(
        "a new connection after a refused write",
        POSTGRESQL,
        "tests/school/test_read_only_database.py::test_a_connection_that_refused_a_write_is_not_used_again",
        instead("school/db/postgresql/base.py", "self.wrapper.connection.is_outdated = True", "pass"),
    ),
    Mutant(
        "a lost connection if psycopg finds two answers",
        POSTGRESQL,
        "tests/school/test_postgresql_answers.py",
        instead("school/db/postgresql/base.py", "in OUTDATED_STATES:", "in OUTDATED_STATES[1:]:"),
    ),
    Mutant(
        "an unknown outcome after a commit",
        POSTGRESQL,
        "tests/school/test_postgresql_answers.py",
        instead("school/db/postgresql/base.py", "        self.has_committed = True\n", ""),
    ),
    Mutant(
        "no change feed on a standby",
        POSTGRESQL,
        "tests/served/test_failover.py::test_a_standby_shows_no_changes_because_it_lacks_the_locks_of_writers",
        instead("school/db/ordered_tables.py", "if is_standby:", "if False:"),
    ),
    Mutant(
        "a commit without a statement timeout",
        POSTGRESQL,
        "tests/served/test_failover.py::test_a_write_that_no_standby_confirms_is_not_acknowledged",
        instead("school/db/postgresql/base.py", "SET LOCAL statement_timeout = 0; COMMIT", "COMMIT"),
    ),
    Mutant(
        "requests of a client that do not wait to record its use",
        POSTGRESQL,
        "tests/races/test_client_use.py",
        instead("school/api/token_grants.py", "select_for_update(skip_locked=True)", "all()"),
    ),
    Mutant(
        "the checksum of a backup",
        SQLITE,
        "tests/served/test_backups.py::test_a_backup_that_this_version_cannot_use_is_refused",
        instead("school/backups/archive.py", "_checksum(archive, member, report) != checksum", "False"),
    ),
    Mutant(
        "the promotion after one into a corequisite",
        SQLITE,
        "tests/students/test_promotions_in_turn.py",
        instead(
            "students/enrollment/batch.py",
            "affected.update(dict.fromkeys(self.context.courses_requiring(course_id)))",
            "pass",
        ),
    ),
    Mutant(
        "a backup of a newer version",
        SQLITE,
        "tests/served/test_backups.py::test_a_backup_that_this_version_cannot_use_is_refused",
        instead(
            "students/management/commands/restore.py",
            "if newer or _numbers(manifest.version) > _numbers(settings.VERSION):",
            "if False:",
        ),
    ),
    Mutant(
        "a restore into a database that is not empty",
        SQLITE,
        "tests/served/test_backups.py::test_a_database_that_is_not_empty_is_not_overwritten",
        instead("school/backups/sqlite.py", "            if tables:\n", "            if tables is None:\n"),
    ),
    Mutant(
        "a restore into a database in use",
        POSTGRESQL,
        "tests/served/test_backups.py::test_a_database_in_use_is_refused",
        instead("school/backups/postgresql.py", "        if not others:\n", "        if others is not None:\n"),
    ),
    Mutant(
        "no file of a failed backup",
        SQLITE,
        "tests/served/test_backups.py::test_a_backup_on_a_full_disk_leaves_no_file",
        instead("school/commands/private_files.py", "draft.unlink(missing_ok=True)", "pass"),
    ),
    Mutant(
        "the timeouts behind a pooler",
        POSTGRESQL,
        "tests/served/test_pooler.py::test_the_lock_timeout_applies_and_stays_with_its_transaction",
        instead("school/db/settings.py", 'options["transaction_limits"] = limits', "pass"),
    ),
    Mutant(
        "the ready view asks whether the database takes writes",
        POSTGRESQL,
        "tests/school/test_read_only_database.py::test_the_server_is_not_ready_while_the_database_takes_no_writes",
        instead("school/db/session_checks.py", 'if read_only == "on":', "if False:"),
    ),
    Mutant(
        "the comparison of enrollments with the journal",
        SQLITE,
        "tests/students/test_verification.py::test_a_changed_row_is_named_with_its_fields",
        instead("students/verification.py", "if replayed != stored:", "if False:"),
    ),
    Mutant(
        "the refusal of two values of one name",
        SQLITE,
        HOSTILE_BODIES,
        instead("school/api/parsers.py", "    if len(members) < len(pairs):\n", "    if False:\n"),
    ),
    Mutant(
        "the refusal of half of a surrogate pair",
        SQLITE,
        HOSTILE_BODIES,
        instead("school/api/parsers.py", "and not _is_encodable(body):", "and False:"),
    ),
    Mutant(
        "the refusal of charsets that Django decodes by",
        SQLITE,
        "tests/hostile/test_wire.py",
        instead("school/wsgi.py", "    request_class = Request\n", "    pass\n"),
    ),
    Mutant(
        "the middleware of programs",
        SQLITE,
        "tests/school/test_parts.py::test_a_request_passes_the_middleware_list_of_its_path_in_order",
        instead("school/http/api_middleware.py", "self.chain if is_of_api else", "self.get_response if is_of_api else"),
    ),
    Mutant(
        "the checks of middleware before a view for programs",
        SQLITE,
        "tests/security/test_uploads.py::test_an_api_upload_without_the_permission_is_rejected",
        instead("school/http/api_middleware.py", "for check in self.view_hooks:", "for check in ():"),
    ),
    Mutant(
        "the header Authorization instead of a session",
        SQLITE,
        "tests/security/test_uploads.py::test_an_upload_with_other_credentials_is_rejected",
        instead("school/api/authentication.py", '"HTTP_AUTHORIZATION" in request.META or not user', "not user"),
    ),
    Mutant(
        "English for programs",
        SQLITE,
        "tests/school/test_languages.py::test_api_responses_are_in_english",
        instead("school/i18n/middleware.py", "if request.path_info.startswith(ENGLISH_PREFIXES):", "if False:"),
    ),
    Mutant(
        "English for the journal",
        SQLITE,
        "tests/school/test_languages.py::test_the_reasons_of_a_pass_over_are_stored_in_english",
        instead("students/enrollment/batch.py", "with in_english():", "if True:"),
    ),
    Mutant(
        "one language for each request",
        SQLITE,
        "tests/school/test_languages.py::test_the_language_of_a_request_does_not_leak_into_the_next_one",
        instead("school/i18n/middleware.py", "with override(language):", "if override(language).__enter__() is None:"),
    ),
    Mutant(
        "no personal data in a cursor",
        SQLITE,
        "tests/school/test_cursors.py::test_a_cursor_contains_the_id_of_its_row_and_no_text[students-family_name]",
        instead("school/api/pagination.py", "        if not self.cursor_has_value:\n            return None\n", ""),
    ),
    Mutant(
        "the limits of a client, where a cursor's row is read again",
        SQLITE,
        "tests/school/test_cursors.py::test_a_cursor_reveals_nothing_about_a_row_outside_the_limits",
        instead("school/api/list_and_retrieve.py", "builder.get_queryset().filter(pk=", "builder.queryset.filter(pk="),
    ),
    Mutant(
        "the holds of a student",
        SQLITE,
        "tests/students/test_entry_points.py::test_entry_point_obeys_rule[enroll-has_no_hold-api]",
        instead("students/enrollment/rules.py", "        if hold.applies_to(", "        if not hold.applies_to("),
    ),
    Mutant(
        "the term of a hold",
        SQLITE,
        "tests/students/test_holds.py::test_a_hold_for_a_term_concerns_the_courses_of_that_term_only",
        instead("students/models/hold.py", "self.term_id in (None, term_id)", "bool(self.pk)"),
    ),
    Mutant(
        "students with holds, in the decisions of a batch",
        SQLITE,
        "tests/students/test_holds.py::test_a_batch_refuses_only_the_students_with_holds",
        instead("students/enrollment/batch.py", "            and command.student_id not in context.holds\n", ""),
    ),
    Mutant(
        "the lock on a student before a hold is placed",
        POSTGRESQL,
        "tests/races/test_holds.py::test_every_way_of_enrolling_waits_for_a_hold_being_placed_and_is_refused",
        instead("students/holds.py", "students.select_for_update(no_key=no_key)", "students"),
    ),
    Mutant(
        "the seats that a release of holds gives",
        SQLITE,
        "tests/students/test_holds.py::test_a_release_looks_at_the_lines_of_the_student_again",
        instead("students/holds.py", "return promote(locked_course_ids, actor=actor) if holds else []", "return []"),
    ),
    Mutant(
        "the mark of a student with holds, in a save",
        SQLITE,
        "tests/students/test_holds.py::test_a_save_of_the_student_leaves_the_flag_unchanged",
        instead("students/models/student.py", ' if field.name != "has_holds"]', "]"),
    ),
    Mutant(
        "the reasons of the holds of an erased student",
        SQLITE,
        "tests/students/test_holds.py::test_an_erasure_deletes_the_reasons_and_releases_the_holds",
        instead("students/privacy/erase.py", "            erase_holds(person.pk, actor_id=actor and actor.pk)\n", ""),
    ),
    Mutant(
        "the source of a hold that a full file does not list",
        SQLITE,
        "tests/students/test_imports_holds.py::test_a_full_file_releases_the_holds_of_its_source_that_it_does_not_list",
        instead("students/imports/holds.py", "if hold.pk not in own:", "if False:"),
    ),
    Mutant(
        "holds that a faulty row of a full file may mean",
        SQLITE,
        "tests/students/test_imports_holds.py::test_a_full_file_keeps_holds_that_a_faulty_row_may_mean",
        instead("students/imports/holds.py", "elif number := self.listed.ambiguous_row(hold):", "elif number := None:"),
    ),
    Mutant(
        "corequisites in later rows of a file",
        SQLITE,
        "tests/students/test_corequisites.py::test_in_a_file_the_corequisites_count_in_any_order_of_its_rows",
        instead("students/imports/corequisite_rows.py", "if row_counts[student_id] > 1:", "if False:"),
    ),
    Mutant(
        "the seats after rows that were tried again",
        SQLITE,
        "tests/students/test_corequisites.py::test_the_seats_that_were_given_to_corequisites_count_for_the_next_chunk",
        instead(
            "students/imports/enrollments.py",
            "        if retry_corequisites(outcomes, self.actor):\n",
            "        if retry_corequisites(outcomes, self.actor) and False:\n",
        ),
    ),
    Mutant(
        "a preview of a completion changes nothing",
        SQLITE,
        "tests/students/test_grades.py::"
        "test_the_preview_of_a_grade_in_the_api_counts_the_enrollments_that_depend_on_it",
        instead("students/api/student_courses.py", '        if data["dry_run"]:\n', "        if False:\n"),
    ),
    Mutant(
        "a preview counts only visible enrollments",
        SQLITE,
        "tests/students/test_grades.py::test_a_limited_client_gets_the_count_of_visible_enrollments",
        instead("students/api/visible_rows.py", "if row_scope is None or not enrollment_ids:", "if True:"),
    ),
    Mutant(
        "the lock on the students of courses that depend on others",
        POSTGRESQL,
        "tests/races/test_student_lock.py::test_parallel_enrollments_in_two_courses_never_exceed_the_credits",
        instead("students/enrollment/other_courses_loading.py", ', "FOR NO KEY UPDATE")', ")"),
    ),
    Mutant(
        "the lock on waitlisted students of such courses",
        POSTGRESQL,
        "tests/races/test_student_lock.py::test_a_promotion_and_an_enrollment_never_exceed_the_credits",
        instead(
            "students/enrollment/other_courses_loading.py",
            "    ids |= {waiter.student_id for pk in dependent for waiter in context.waitlists.get(pk, ())}\n",
            "",
        ),
    ),
    Mutant(
        "the courses for which a student waits who leaves another",
        SQLITE,
        "tests/students/test_credits.py::test_a_drop_gives_the_student_the_free_seat_that_the_credits_kept_from_them",
        instead(
            "students/enrollment/other_waits_loading.py",
            "    if course_ids:\n        waits =",
            "    if False:\n        waits =",
        ),
    ),
    Mutant(
        "the maximum of credits",
        SQLITE,
        "tests/students/test_entry_points.py::test_entry_point_obeys_rule[enroll-credits_are_within_maximum-api]",
        instead("students/enrollment/rules.py", "taken + course.credits <= maximum", "True"),
    ),
    Mutant(
        "corequisites",
        SQLITE,
        "tests/students/test_entry_points.py::test_entry_point_obeys_rule[enroll-corequisites_are_taken-api]",
        instead("students/enrollment/rules.py", "for code in course.corequisites if not", "for code in () if not"),
    ),
    Mutant(
        "corequisites that the batch gives no seat",
        SQLITE,
        "tests/students/test_corequisites.py::test_a_waitlisted_item_of_a_batch_is_no_corequisite",
        instead("students/enrollment/batch.py", "                if refusals:\n", "                if False:\n"),
    ),
    Mutant(
        "courses at the same time",
        SQLITE,
        "tests/students/test_entry_points.py::test_entry_point_obeys_rule[enroll-meets_at_another_time-api]",
        instead("students/enrollment/rules.py", "    if not found:\n        return None\n", "    return None\n"),
    ),
    Mutant(
        "meetings of one course that overlap",
        SQLITE,
        "tests/courses/test_meetings.py::test_files_and_forms_refuse_invalid_meetings",
        instead("courses/meetings.py", "for first, second in combinations(meetings, 2):", "for first, second in ():"),
    ),
    Mutant(
        "the maximum of credits, in a batch",
        SQLITE,
        "tests/students/test_credits.py::test_each_command_of_a_batch_counts_for_the_next",
        instead("students/enrollment/batch.py", " and not self.context.depends_on_other_courses(course_id)", ""),
    ),
    Mutant(
        "a student who takes the corequisite of a course and waits for it",
        SQLITE,
        "tests/students/test_corequisites.py::"
        "test_a_student_who_takes_a_corequisite_gets_a_free_seat_in_the_same_transaction",
        instead(
            "students/enrollment/batch.py", "            and command.student_id not in context.other_waitlists\n", ""
        ),
    ),
    Mutant(
        "the ranks of the grades of one file",
        SQLITE,
        "tests/courses/test_grade_imports.py::test_rows_with_which_the_table_would_be_invalid_are_refused",
        instead("courses/grades.py", "[_rank_refusal()] if grade.rank in taken else []", "[]"),
    ),
    Mutant(
        "the grades of the table",
        SQLITE,
        "tests/students/test_entry_points.py::test_entry_point_obeys_rule[complete-grade_is_known-api]",
        instead("students/enrollment/rules.py", "return None if table.has(grade) else", "return None if True else"),
    ),
    Mutant(
        "grades that do not pass, for prerequisites",
        SQLITE,
        "tests/students/test_grades.py::test_prerequisites_count_passing_grades_and_minimum_grades",
        instead("students/enrollment/decision_context.py", "if self.grade_table.passes(grade):", "if True:"),
    ),
    Mutant(
        "the minimum grade of a prerequisite",
        SQLITE,
        "tests/students/test_grades.py::test_prerequisites_count_passing_grades_and_minimum_grades",
        instead("courses/grades.py", "row.rank >= least.rank", "row.rank >= 0"),
    ),
    Mutant(
        "one of several alternatives",
        SQLITE,
        "tests/courses/test_prerequisite_items.py::test_an_item_is_met_by_one_alternative_and_by_the_minimum_grade",
        instead("courses/prerequisite_items.py", "return any(has_passed", "return all(has_passed"),
    ),
    Mutant(
        "alternatives in the search for circles",
        SQLITE,
        "tests/courses/test_grades.py::test_the_check_for_cycles_follows_alternatives",
        instead(
            "courses/prerequisites.py",
            "(renamed.get(each, each) for each in all_codes(course.prerequisites))",
            "(renamed.get(each, each) for each in course.prerequisites if isinstance(each, str))",
        ),
    ),
    Mutant(
        "the seats that a change of the grades gives",
        SQLITE,
        "tests/students/test_grades.py::test_a_change_of_the_table_promotes_students_who_now_qualify[passes]",
        instead(
            "students/enrollment/service.py",
            "return promote(courses_with_qualifiable_students(), actor=actor)",
            "return []",
        ),
    ),
    Mutant(
        "the new code in the prerequisites of others",
        SQLITE,
        "tests/courses/test_renames.py::test_renaming_a_course_updates_the_prerequisites_of_other_courses[rename_by_patch]",
        instead(
            "courses/prerequisites.py",
            '        course.save(update_fields=["prerequisites", "corequisites"])',
            "        pass",
        ),
    ),
    Mutant(
        "the code that no other course has",
        SQLITE,
        "tests/courses/test_renames.py::test_prerequisites_keep_a_code_that_another_course_still_has[rename_by_patch]",
        instead("courses/prerequisites.py", ".exclude(pk=course_id).exists():\n", ".exclude(pk=course_id)[:0]:\n"),
    ),
    Mutant(
        "the circle that a rename would close",
        SQLITE,
        "tests/courses/test_renames.py::test_the_error_of_a_cycle_by_a_rename_has_the_code_field_and_the_cycle",
        instead(
            "courses/prerequisites.py", "{current_code: code} if is_code_replaced", "{current_code: code} if False"
        ),
    ),
    Mutant(
        "the deletion of a prerequisite refused",
        SQLITE,
        "tests/courses/test_renames.py::test_the_last_course_of_a_required_code_cannot_be_deleted[delete_by_api]",
        instead("courses/api/views.py", "refuse_deletion([instance.pk], row_scope_of(self.request))", "pass"),
    ),
    Mutant(
        "the lock of the prerequisites",
        POSTGRESQL,
        "tests/races/test_prerequisites.py::test_two_simultaneous_renames_do_not_create_a_cycle",
        instead("courses/prerequisites.py", 'if connection.vendor == "postgresql":', "if False:"),
    ),
    Mutant(
        "the id of a class in a zip, which is no code",
        SQLITE,
        f"{BUNDLES}::test_a_class_with_a_code_equal_to_another_sourced_id_does_not_get_its_students",
        instead("students/imports/external_course_ids.py", "ID_SPACES.get(table.spelling(CODE), CODE)", "CODE"),
    ),
    Mutant(
        "the refusal of two ids in a zip for one course",
        SQLITE,
        f"{BUNDLES}::test_two_classes_that_map_to_one_course_are_refused_with_their_enrollments",
        instead("courses/zip_references.py", " or len(self.index.ids(namespace, keys[0])) > 1", ""),
    ),
    Mutant(
        "the error of a course in a zip that enrollments name",
        SQLITE,
        f"{BUNDLES}::test_a_session_that_matches_no_term_or_several_is_an_error_of_the_class",
        instead("courses/zip_references.py", "ERRONEOUS if row.unresolved else _key(row)", "_key(row)"),
    ),
    Mutant(
        "the days that a session in a zip has in common with its term",
        SQLITE,
        f"{BUNDLES}::test_a_session_does_not_match_a_term_of_other_dates_with_its_sourced_id_as_code",
        instead("courses/zip_references.py", "and (session.start is None or session.start <= term.ends_on)", ""),
    ),
    Mutant(
        "the course without a term in a zip, which is none of a term",
        SQLITE,
        f"{BUNDLES}::test_a_failed_course_without_a_term_is_not_replaced_by_one_of_a_term",
        instead("students/imports/enrollments.py", "if not row.has_complete_key or", "if True or"),
    ),
    Mutant(
        "the files in a zip that references lead to, after an erasure",
        SQLITE,
        f"{BUNDLES}::test_redacting_a_person_in_a_zip_keeps_the_files_needed_for_references",
        instead("bulk/personal_data/search.py", "lookup_columns.get(table.stem)", "None"),
    ),
    Mutant(
        "the check of a zip of OneRoster before anything is written",
        SQLITE,
        f"{ONEROSTER_REFUSALS}::test_a_user_of_a_bulk_file_without_a_role_is_refused",
        instead("bulk/jobs/processing.py", "        check_roster_zip(file, job.size, lease.keep)", "        pass"),
    ),
    Mutant(
        "the reference in a zip of OneRoster to a row of the same file",
        SQLITE,
        f"{ONEROSTER_REFUSALS}::test_a_reference_to_no_row_is_refused[orgs-record0-4-parentSourcedId-orgs]",
        instead("bulk/roster_zips/checks.py", "        if own:", "        if False:"),
    ),
    Mutant(
        "the role of a student in a delta of OneRoster, whose user the zip must have",
        SQLITE,
        f"{ONEROSTER_REFUSALS}::test_the_role_of_a_student_in_a_delta_needs_the_row_of_the_user",
        instead("bulk/roster_zips/checks.py", 'row.cells["role"] == "student"', "False"),
    ),
    Mutant(
        "the dates of a term that has the id of a session of OneRoster as its code",
        SQLITE,
        f"{ONEROSTER_ZIPS}::test_a_term_of_other_dates_with_the_id_as_its_code_is_not_overwritten",
        instead(
            "courses/term_imports.py",
            "if taken := next((term for term in terms if term.code == code), None):",
            "if taken := None:",
        ),
    ),
    Mutant(
        "the classes of earlier zips of OneRoster, of the own dataset only",
        SQLITE,
        f"{ONEROSTER_ZIPS}::test_a_delta_of_enrollments_alone_finds_classes_of_earlier_zips_of_its_own_dataset_only",
        instead("bulk/importers/earlier_zips.py", "Import.objects.of_dataset(self.job.dataset_key)", "Import.objects"),
    ),
    Mutant(
        "the manifest of a zip of OneRoster, after an erasure",
        SQLITE,
        f"{ONEROSTER_ZIPS}::test_a_redacted_zip_keeps_its_manifest_and_its_report",
        instead("bulk/personal_data/search.py", "    lookup_columns[MANIFEST] = MANIFEST_COLUMNS\n", ""),
    ),
    Mutant(
        "all cells of a failed row",
        SQLITE,
        FAILED_ROWS,
        instead(
            "bulk/reports.py",
            "escape_original_cell, row.raw)",
            "escape_original_cell, row.raw[: len(self.source.header)])",
        ),
    ),
    Mutant(
        "the formula that only says text, left as it came",
        SQLITE,
        FAILED_ROWS,
        instead("bulk/files/cell_text.py", " or _TEXT_FORMULA.fullmatch(cell))", ")"),
    ),
    Mutant(
        "the refusal of a row that lacks a required cell",
        SQLITE,
        "tests/bulk/test_reading.py::test_missing_cells_at_the_end_are_empty_if_their_columns_are_optional",
        instead("bulk/files/csv_reader.py", "if name in required]:", "if name in ()]:"),
    ),
    Mutant(
        "the refusal of cells beyond the header",
        SQLITE,
        "tests/bulk/test_reading.py::test_a_cell_in_a_column_without_a_name_is_an_error",
        instead("bulk/files/csv_reader.py", "        if any(map(clean, raw[self.width :])):\n", "        if False:\n"),
    ),
    Mutant(
        "the refusal of another header in the middle",
        SQLITE,
        "tests/bulk/test_reading.py::test_a_different_header_in_the_middle_makes_the_file_unreadable",
        instead("bulk/files/csv_reader.py", 'raise self._unreadable("second_header", message, number)', "return True"),
    ),
    Mutant(
        "the refusal of two files of one kind",
        SQLITE,
        "tests/bulk/test_zips.py::test_two_files_of_one_kind_are_refused_and_both_are_named",
        instead("bulk/importers/import_parts.py", "        if own and len(importers) != 1:\n", "        if False:\n"),
    ),
    Mutant(
        "the refusal of compression that unpacks to too many bytes",
        SQLITE,
        "tests/bulk/test_zips.py::test_a_file_with_an_unsupported_compression_is_refused_unread",
        instead("bulk/files/zip_reader.py", "if self.info.compress_type not in", "if None in"),
    ),
    Mutant(
        "the refusal of characters in identifiers that mislead",
        SQLITE,
        "tests/students/test_imports_values.py::test_a_number_with_a_confusable_character_is_refused_in_every_file",
        instead(
            "school/identifiers.py",
            "            if fault := character_fault(character, position):\n",
            "            if fault := None:\n",
        ),
    ),
    Mutant(
        "one form of texts on the way to the database",
        SQLITE,
        "tests/students/test_values.py::test_create_bulk_create_update_and_filter_normalize_values",
        instead(
            "school/fields.py",
            "super().to_python(value)  # type: ignore[misc]\n        return self.normalize(value)",
            "super().to_python(value)  # type: ignore[misc]\n        return str(value)",
        ),
    ),
    Mutant(
        "the check of outdated forms",
        SQLITE,
        "tests/school/test_stale_forms.py::test_a_stale_form_is_refused_names_the_changes_and_keeps_typed_values",
        instead(
            "school/admin_site/stale_forms.py",
            "if loaded_digests.get(name) != self._digest(name):",
            "if loaded_digests is None:",
        ),
    ),
    Mutant(
        "the lock on the row that a form of the admin saves",
        POSTGRESQL,
        "tests/school/test_stale_forms.py::test_a_save_that_waits_for_a_lock_sees_the_committed_change",
        instead("school/admin_site/stale_forms.py", "                self.lock_row(row)\n", "                pass\n"),
    ),
    Mutant(
        "an erased student keeps the pseudonym",
        SQLITE,
        "tests/students/test_privacy.py::test_no_entry_point_gives_an_erased_student_a_number",
        instead("students/models/student.py", "condition=Q(erased_at__isnull=True)", "condition=Q(pk__gte=0)"),
    ),
    Mutant(
        "one form of texts that look alike",
        SQLITE,
        ERASED,
        instead("school/text_normalization.py", "_NOT_ASCII.sub(_fold_run, text.lower())", "text.lower()"),
    ),
    Mutant(
        "the search at every separator",
        SQLITE,
        "tests/bulk/test_traces.py::test_rows_that_name_a_person_are_found",
        instead(
            "bulk/personal_data/search.py",
            "identifiers.occurs_in_cells(_split_cells(row.cells))",
            "identifiers.occurs_in_cells(row.cells)",
        ),
    ),
    Mutant(
        "the deletion of copies in sessions and logs",
        SQLITE,
        ERASED,
        instead("students/privacy/erase.py", "        delete_copies(person.identifiers, person.pseudonym)\n", ""),
    ),
    Mutant(
        "the scrubbing of the files of PostgreSQL",
        POSTGRESQL,
        ERASED,
        instead("students/privacy/database_vacuum.py", "VACUUM (FULL, ANALYZE)", "VACUUM (ANALYZE)"),
    ),
    Mutant(
        "the scrubbing of the files of SQLite",
        SQLITE,
        ERASED,
        instead("students/privacy/database_vacuum.py", 'cursor.execute("VACUUM")', "pass"),
    ),
    Mutant(
        "the guard of formulas behind another separator",
        SQLITE,
        "tests/bulk/test_cells.py::test_no_cell_of_a_file_is_a_formula_with_any_separator",
        instead(
            "bulk/files/cell_text.py",
            'text = _INNER_FORMULA.sub(r"\\1\'", "" if cell is None else str(cell))',
            'text = "" if cell is None else str(cell)',
        ),
    ),
    Mutant(
        "the escapes of what commands print",
        SQLITE,
        "tests/school/test_commands.py::test_a_file_name_is_printed_escaped",
        instead(
            "school/commands/output.py",
            "self.output.write(escape_control_characters(msg), style_func, ending)",
            "self.output.write(msg, style_func, ending)",
        ),
    ),
    Mutant(
        "the linear time of normalizing",
        SQLITE,
        f"{BUDGET}::test_a_long_run_of_combining_marks_is_normalized_in_linear_time",
        instead("school/text_normalization.py", "    if len(text) > 31:\n", "    if False:\n"),
    ),
    Mutant(
        "the length of a list, checked before its items",
        SQLITE,
        f"{BUDGET}::test_the_length_of_a_list_is_checked_before_its_items",
        instead(
            "school/api/fields.py",
            "len(data) > self.max_length:\n            self.fail",
            "False:\n            self.fail",
        ),
    ),
    Mutant(
        "the number of unknown fields that are named",
        SQLITE,
        f"{BUDGET}::test_fifty_unknown_fields_are_named_and_the_others_are_counted",
        instead("school/api/serializers.py", "in unknown[:MAX_UNKNOWN_FIELDS]:", "in unknown:"),
    ),
    Mutant(
        "the number of errors that a problem names",
        SQLITE,
        f"{BUDGET}::test_a_batch_with_too_many_errors_is_refused_as_a_whole",
        instead(
            "school/http/problems.py",
            "for reason in reasons[:MAX_ERRORS]], reasons[0]",
            "for reason in reasons], reasons[0]",
        ),
    ),
    Mutant(
        "the number of arrays and objects in a body",
        SQLITE,
        f"{BUDGET}::test_a_body_has_at_most_10_000_arrays_and_objects",
        instead("school/api/parsers.py", "if _count_containers(text) > MAX_CONTAINERS and", "if False and"),
    ),
    Mutant(
        "the permission to send a file, checked before it is read",
        SQLITE,
        "tests/security/test_uploads.py::test_an_admin_upload_without_the_permission_is_rejected",
        instead(
            "bulk/upload_permission_middleware.py",
            'if request.method != "POST" or request.path_info',
            "if True or request.path_info",
        ),
    ),
    Mutant(
        "an answer below 100 kB: the texts of a form",
        SQLITE,
        "tests/security/test_budget_forms.py::test_no_form_costs_more_than_a_second",
        instead("school/http/form_limits.py", "if sum(sizes.values()) <= MAX_TEXT:", "if sizes is not None:"),
    ),
    Mutant(
        "an answer below 100 kB: the values of a field",
        SQLITE,
        "tests/security/test_budget_forms.py::test_no_form_costs_more_than_a_second",
        instead("school/http/form_limits.py", "if len(values) > MAX_VALUES:", "if len(values) > 10_000:"),
    ),
    Mutant(
        "an answer below 100 kB: the rows below a form",
        SQLITE,
        "tests/security/test_budget_forms.py::test_no_form_costs_more_than_a_second",
        instead("school/admin_site/stale_forms.py", "MAX_NEW_ROWS = 5 ", "MAX_NEW_ROWS = 1_000 "),
    ),
    Mutant(
        "an answer below 100 kB: the indentation of a page",
        SQLITE,
        "tests/security/test_budget_forms.py::test_no_form_costs_more_than_a_second",
        instead("school/http/html_whitespace.py", "is_page and request", "not is_page and request"),
    ),
    Mutant(
        "an answer below 100 kB: the lines of a preview",
        SQLITE,
        "tests/security/test_budget_forms.py::test_no_action_on_1000_enrollments_costs_more_than_a_second",
        instead(
            "students/admin/actions/action_effects.py",
            "available_bytes: float = MAX_BYTES_OF_LINES",
            "available_bytes: float = 10**9",
        ),
    ),
    Mutant(
        "an answer below 100 kB: the names of a preview",
        SQLITE,
        "tests/security/test_budget_forms.py::test_no_bulk_action_costs_more_than_a_second",
        instead("students/admin/actions/action_effects.py", "size <= MAX_BYTES_OF_NAMES for size", "size > 0 for size"),
    ),
    Mutant(
        "an answer below 100 kB: the problems of a pasted text",
        SQLITE,
        "tests/security/test_budget_forms.py::test_no_pasted_text_costs_more_than_a_second",
        instead("students/admin/bulk_enroll/views.py", "size <= limit for size", "size > 0 for size"),
    ),
    Mutant(
        "an answer below 100 kB: a pasted text that is shown again",
        SQLITE,
        "tests/security/test_budget_forms.py::test_no_pasted_text_costs_more_than_a_second",
        instead(
            "students/admin/bulk_enroll/views.py",
            'if size_in_page(self.data.get("text", "")) > MAX_BYTES_OF_TEXT:',
            "if not self.data:",
        ),
    ),
    Mutant(
        "an answer below 100 kB: keys that are too long",
        SQLITE,
        "tests/security/test_budget_forms.py::test_no_pasted_text_costs_more_than_a_second",
        instead(
            "students/admin/bulk_enroll/views.py",
            "if size_in_page(text) > MAX_BYTES_OF_TEXT:\n            form.drop_long_text()\n",
            "if not lines:\n            form.drop_long_text()\n",
        ),
    ),
    Mutant(
        "an answer below 100 kB: rows that are picked",
        SQLITE,
        "tests/security/test_budget_forms.py::test_no_listed_or_corrected_key_costs_more_than_a_second",
        instead("students/admin/widgets.py", "MAX_PICKED = 20 ", "MAX_PICKED = 1_000 "),
    ),
    Mutant(
        "an answer below 100 kB: rows to delete",
        SQLITE,
        "tests/security/test_budget_forms.py::test_at_most_100_rows_are_deleted_at_a_time",
        instead("school/admin_site/deletion.py", "MAX_SELECTED = 100 ", "MAX_SELECTED = 1_000 "),
    ),
    Mutant(
        "an answer below 100 kB: the names of what is deleted",
        SQLITE,
        "tests/security/test_budget_forms.py::test_no_bulk_action_costs_more_than_a_second",
        instead(
            "school/admin_site/deletion.py",
            "return _truncate_names(to_delete), numbers, lacking, _truncate_names(protected)",
            "return to_delete, numbers, lacking, protected",
        ),
    ),
    Mutant(
        "an answer below 100 kB: the reasons of a batch",
        SQLITE,
        "tests/security/test_budget.py::test_no_batch_that_is_applied_costs_more_than_a_second",
        instead("school/api/batch_bodies.py", "        if available_bytes < 0:\n            break\n", ""),
    ),
    Mutant(
        "an answer below 100 kB: the enrollments of a batch",
        SQLITE,
        "tests/security/test_limits.py::test_batches_of_26_and_more_items_render_enrollments_as_id_and_status",
        instead("students/api/batch_outcomes.py", "full=not is_large", "full=True"),
    ),
    Mutant(
        "OneRoster: the users that a limited client sees",
        SQLITE,
        "tests/oneroster/test_access.py::test_a_limited_client_sees_only_what_belongs_to_its_terms_and_courses",
        instead(
            "oneroster/visibility.py",
            "if row_scope is None or model is OrgRecord:",
            "if row_scope is None or model in (OrgRecord, UserRecord):",
        ),
    ),
    Mutant(
        "OneRoster: the scopes of an operation",
        SQLITE,
        "tests/oneroster/test_access.py::test_each_scope_allows_its_operations",
        instead(
            "oneroster/api/views.py", "request.auth.scopes & {SCOPE, *view.operation.scopes}", "request.auth.scopes"
        ),
    ),
    Mutant(
        "OneRoster: no personal data in a removed record",
        SQLITE,
        "tests/oneroster/test_publishing.py::test_deleted_and_erased_records_stay_without_personal_data_for_some_days",
        instead("oneroster/mapping.py", "When(_IS_SHOWN, then=shown if", "When(Q(pk__gt=0), then=shown if"),
    ),
    Mutant(
        "OneRoster: a request publishes what has changed",
        SQLITE,
        "tests/oneroster/test_publishing.py::test_the_time_moves_whenever_anything_shown_changes_and_only_then",
        instead("oneroster/api/views.py", "        publish(seconds=REQUEST_SECONDS)\n", "        pass\n"),
    ),
    Mutant(
        "OneRoster: the journal is published only up to its safe watermark",
        POSTGRESQL,
        "tests/oneroster/test_publishing.py::test_a_late_commit_is_not_missed",
        instead("oneroster/publishing.py", "    watermark = JOURNAL.safe_watermark()\n", "    watermark = None\n"),
    ),
    Mutant(
        "OneRoster: the permission to export files in the admin",
        SQLITE,
        "tests/oneroster/test_admin.py::test_the_navigation_leads_to_the_page_for_users_who_may_export",
        instead("oneroster/admin.py", "    if not can_export(request):\n        raise PermissionDenied\n", ""),
    ),
    Mutant(
        "webhooks: no address that is not public",
        SQLITE,
        f"{SENDER}::test_special_addresses_are_refused[169.254.169.254]",
        instead("webhooks/addresses.py", "return not any(address in network for network in REFUSED)", "return True"),
    ),
    Mutant(
        "webhooks: an IPv4 address that is written as IPv6",
        SQLITE,
        f"{SENDER}::test_an_allowed_network_makes_its_addresses_allowed_and_no_others",
        instead("webhooks/addresses.py", "        address = address.ipv4_mapped\n", "        pass\n"),
    ),
    Mutant(
        "webhooks: every address of a name",
        SQLITE,
        f"{SENDER}::test_a_name_with_any_address_that_is_not_allowed_is_refused",
        instead("webhooks/sender.py", "not all(map(is_allowed, addresses))", "not any(map(is_allowed, addresses))"),
    ),
    Mutant(
        "webhooks: a connection to the address that was checked",
        SQLITE,
        f"{SENDER}::test_the_connection_goes_to_the_address_that_was_checked",
        instead("webhooks/sender.py", "HTTPConnection(address, target.port", "HTTPConnection(target.host, target.port"),
    ),
    Mutant(
        "webhooks: the name in the certificate of a receiver",
        SQLITE,
        f"{SENDER}::test_tls_checks_the_name_of_the_url_and_not_the_address",
        instead("webhooks/sender.py", "server_hostname=target.host", "server_hostname=address"),
    ),
    Mutant(
        "webhooks: no redirect is followed",
        SQLITE,
        f"{SENDER}::test_redirects_are_not_followed",
        instead("webhooks/sender.py", "200 <= response.status < 300", "200 <= response.status < 400"),
    ),
    Mutant(
        "webhooks: the end of an answer that takes too long",
        SQLITE,
        f"{SENDER}::test_an_answer_that_comes_byte_by_byte_is_ended",
        instead("webhooks/sender.py", "            connection.sock.shutdown(socket.SHUT_RDWR)\n", "            pass\n"),
    ),
    Mutant(
        "webhooks: the length of an answer",
        SQLITE,
        f"{SENDER}::test_only_the_beginning_of_an_answer_is_read",
        instead("webhooks/sender.py", "response.read(MAX_ANSWER, ", "response.read("),
    ),
    Mutant(
        "webhooks: https",
        SQLITE,
        "tests/webhooks/test_api.py::test_http_needs_the_setting",
        instead("webhooks/target_url.py", " and not settings.WEBHOOK_HTTP)", " and False)"),
    ),
    Mutant(
        "webhooks: a URL without credentials",
        SQLITE,
        f"{SENDER}::test_malformed_urls_are_refused",
        instead("webhooks/target_url.py", 'if "@" in parts.netloc:', "if False:"),
    ),
    Mutant(
        "webhooks: one worker for an endpoint",
        SQLITE,
        f"{DELIVERY}::test_only_one_worker_gets_a_lease",
        instead(
            "webhooks/delivery/endpoint_run.py",
            "pk=endpoint.pk, lease_owner=endpoint.lease_owner, leased_until=endpoint.leased_until",
            "pk=endpoint.pk",
        ),
    ),
    Mutant(
        "webhooks: the lease when a position is saved",
        SQLITE,
        f"{DELIVERY}::test_a_worker_that_lost_its_lease_saves_nothing",
        instead(
            "webhooks/delivery/endpoint_run.py", "pk=self.endpoint_id, lease_owner=self.owner)", "pk=self.endpoint_id)"
        ),
    ),
    Mutant(
        "webhooks: the lease of a process that stood still",
        SQLITE,
        f"{DELIVERY}::test_a_process_that_stood_still_sends_nothing",
        instead(
            "webhooks/delivery/endpoint_run.py",
            "            raise LeaseLost  # this process has stood still\n",
            "            pass\n",
        ),
    ),
    Mutant(
        "webhooks: a replay that is requested during a delivery",
        SQLITE,
        f"{DELIVERY}::test_a_replay_during_a_delivery_is_not_lost",
        instead("webhooks/delivery/endpoint_run.py", "if endpoint.requested_positions is not None:", "if False:"),
    ),
    Mutant(
        "webhooks: the previous secret after a rotation",
        SQLITE,
        f"{DELIVERY}::test_for_a_day_after_a_rotation_both_secrets_verify",
        instead(
            "webhooks/delivery/endpoint_run.py",
            "endpoint.previous_secret_until and endpoint.previous_secret_until > timezone.now()",
            "False",
        ),
    ),
    Mutant(
        "webhooks: a pause after 410",
        SQLITE,
        f"{DELIVERY}::test_410_pauses_at_once",
        instead("webhooks/delivery/endpoint_run.py", "if answer.status == GONE:", "if False:"),
    ),
    Mutant(
        "webhooks: the access of a client",
        SQLITE,
        f"{DELIVERY}::test_a_client_that_lost_its_access_gets_nothing",
        instead("webhooks/outbox.py", "        raise AccessLost\n", "        pass\n"),
    ),
    Mutant(
        "webhooks: names only with the scope for students",
        SQLITE,
        f"{DELIVERY}::test_names_and_reasons_need_the_scope_to_read_students",
        instead(
            "webhooks/outbox.py",
            "with_names = endpoint.client is None or NAMES_SCOPE in endpoint.client.scope.split()",
            "with_names = True",
        ),
    ),
    Mutant(
        "webhooks: the rows of a limited client",
        SQLITE,
        f"{DELIVERY}::test_a_limited_client_gets_only_its_own_rows",
        instead("webhooks/outbox.py", "row_scope_of_client(endpoint.client) if endpoint.client else None", "None"),
    ),
    Mutant(
        "webhooks: a client sees only its own",
        SQLITE,
        "tests/webhooks/test_api.py::test_a_client_sees_only_its_own_webhooks",
        instead("webhooks/api/views.py", "return rows if self._account_id is None else", "return rows if True else"),
    ),
    Mutant(
        "webhooks: the scopes of what an endpoint carries",
        SQLITE,
        "tests/webhooks/test_api.py::test_each_scope_is_needed[changes:read]",
        instead("webhooks/api/views.py", "if not is_permitted(self.request, scope, permission):", "if False:"),
    ),
    Mutant(
        "webhooks: the courses of a limited client",
        SQLITE,
        "tests/webhooks/test_api.py::test_a_limited_client_cannot_name_courses_of_others",
        instead("webhooks/api/views.py", "        if unknown:\n", "        if False:\n"),
    ),
    Mutant(
        "webhooks: the current ETag of a change",
        SQLITE,
        "tests/webhooks/test_api.py::test_a_change_needs_the_current_etag",
        instead("webhooks/api/views.py", "        if is_conditional(self.request):\n", "        if False:\n"),
    ),
    Mutant(
        "webhooks: the permission for an action in the admin",
        SQLITE,
        "tests/webhooks/test_admin.py::test_a_view_permission_shows_the_pages_without_the_actions",
        instead("webhooks/admin.py", "if not self.has_change_permission(request, endpoint):", "if False:"),
    ),
    Mutant(
        "webhooks: an encrypted secret",
        SQLITE,
        "tests/webhooks/test_api.py::test_a_webhook_is_registered_and_its_secret_is_shown_once",
        instead(
            "webhooks/endpoints.py",
            "endpoint.secret = encrypt(secret)\n    endpoint.positions",
            "endpoint.secret = secret\n    endpoint.positions",
        ),
    ),
]


def main() -> int:
    binaries = find_binaries()
    if binaries is None:
        print("There is no PostgreSQL: apt-get install postgresql.", file=sys.stderr)
        return 1
    parser = ArgumentParser(description="Take each guard away and see a test fail for want of it.")
    parser.add_argument("words", nargs="*", help="Only guards whose name, or the name of whose test, contains a word.")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="Only each Nth of them: the short form.")
    options = parser.parse_args()
    mutants = matching(options.words)[:: options.every]
    if not mutants:
        print("No guard has such a name.", file=sys.stderr)
        return 1
    with (
        temporary_server(binaries) as url,
        tempfile.TemporaryDirectory(prefix="school-templates-") as templates,
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
    ):
        os.environ["TEST_TEMPLATES"] = templates  # migrated once for all guards
        engines = sorted({mutant.engine for mutant in mutants})
        whole = pool.map(lambda engine: try_whole(engine, mutants, url), engines)
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


def matching(words: list[str]) -> list[Mutant]:
    """
    Return the guards that have one of the words, in any case, in their name or in the name of their test; all guards
    without words.
    """
    mutants = [*GUARDS, *constraints()]
    names = [f"{mutant.guard} {mutant.test}".lower() for mutant in mutants]
    return [
        mutant
        for mutant, name in zip(mutants, names, strict=True)
        if not words or any(word.lower() in name for word in words)
    ]


def constraints() -> Iterator[Mutant]:
    """Yield a mutant for every constraint of the models."""
    for file, model, name in known_constraints():
        engine, test = CONSTRAINTS[name]
        yield Mutant(name, engine, test, without_constraint(file, model, name))


def known_constraints() -> Iterator[tuple[str, str, str]]:
    """Yield the file, the model and the name of every constraint."""
    for path in [ROOT / "courses/models.py", *sorted((ROOT / "students/models").glob("*.py"))]:
        for model, name, _source in constraints_in(path):
            yield str(path.relative_to(ROOT)), model, name


def try_without(mutant: Mutant, url: str) -> tuple[bool, str]:
    """Return whether the test fails without the guard, and the error or the reason."""
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
    """Run the tests of a database in the unchanged tree; return the failures, or "" if all tests pass."""
    tests = sorted({mutant.test for mutant in mutants if mutant.engine == engine})
    with tempfile.TemporaryDirectory(prefix="school-whole-") as folder:
        copy_to(Path(folder))
        code, output = run_tests(Path(folder), tests, engine, f"{url}_whole", limit=LIMIT_OF_ALL)
    last = output.splitlines()[-1]
    failed = re.findall(r"^(?:FAILED|ERROR) .*", output, re.MULTILINE)
    if code == PASSED and "skipped" not in last:
        return ""
    return "\n".join([f"With all guards, on {engine}: {last}", *failed])


def copy_to(folder: Path) -> None:
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)


def has_changed_migrations(folder: Path) -> bool:
    """Return True if the migrations in a folder are not those of the shared template."""
    originals = {path: ROOT / path.relative_to(folder) for path in folder.glob("*/migrations/*.py")}
    return any(not each.exists() or path.read_bytes() != each.read_bytes() for path, each in originals.items())


def run_tests(folder: Path, tests: list[str], engine: str, url: str, *, limit: int = LIMIT) -> tuple[int, str]:
    """
    Run tests in a folder, each on a separate database; return pytest's exit code and output.

    ``limit`` is in seconds.
    """
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
    environment.pop("TEST_FOLDER", None)
    if has_changed_migrations(folder):
        environment.pop("TEST_TEMPLATES", None)
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return -1, f"It took more than {limit} seconds."
    return done.returncode, done.stdout or done.stderr


if __name__ == "__main__":
    sys.exit(main())
