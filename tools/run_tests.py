"""
Run the tests on SQLite, then on PostgreSQL.

Arguments are passed to pytest. Without options, the files and tests of EXHAUSTIVE are left out; ``--everything`` runs
them too. PostgreSQL runs what depends on the database: all but the files of ONCE. ``--a11y`` runs only the
accessibility checks. ``--pooler`` runs only the PostgreSQL half, through a PgBouncer with transaction pooling and ten
connections, on a temporary server.

PostgreSQL is the server of DATABASE_URL, or else a temporary one. With REQUIRE_ALL=1, a missing PostgreSQL or Chromium
is a failure and not only a message.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from tests.support.pgbouncer import find_pgbouncer, pgbouncer
from tests.support.postgres import find_binaries, temporary_server

OPTIONS = EVERYTHING, A11Y, THROUGH_POOLER = "--everything", "--a11y", "--pooler"
ACCESSIBILITY = "tests/e2e/test_accessible.py"
# Files and tests that start servers, try all pages, roles and inputs, or take long for another reason: `make test-all`
# runs them.
EXHAUSTIVE = (
    "tests/bulk/test_bundles_of_any_ids.py",
    "tests/bulk/test_equivalence.py",
    "tests/bulk/test_full.py::test_a_dry_run_has_the_exit_code_of_the_real_run",
    "tests/bulk/test_full.py::test_a_dry_run_of_an_undo_has_the_exit_code_and_the_rows_of_the_real_run",
    "tests/bulk/test_full.py::test_a_full_file_exchanges_students_in_a_full_course",
    "tests/bulk/test_full.py::test_a_full_file_keeps_an_enrollment_that_a_faulty_row_may_refer_to",
    "tests/bulk/test_full.py::test_a_full_file_reaches_the_state_of_the_model_and_a_repetition_changes_nothing",
    "tests/bulk/test_full.py::test_a_full_file_row_that_ends_an_enrollment_frees_a_seat_for_an_earlier_row",
    "tests/bulk/test_full.py::test_a_killed_full_import_drops_each_student_once_and_counts_its_rows",
    "tests/bulk/test_full.py::test_a_take_over_adopts_listed_enrollments_and_the_next_full_file_drops_them",
    "tests/bulk/test_full.py::test_a_take_over_whose_process_was_killed_adopts_once",
    "tests/bulk/test_full.py::test_freed_seats_of_a_cancelled_full_import_go_to_the_waitlist",
    "tests/bulk/test_hostile.py::test_memory_use_does_not_depend_on_the_file_size",
    "tests/bulk/test_oneroster_refusals.py",
    "tests/bulk/test_oneroster_zips.py",
    "tests/bulk/test_reading.py::test_reading_a_long_file_uses_no_more_memory_than_a_short_one",
    "tests/bulk/test_temporary_copy.py",
    "tests/bulk/test_written_files.py::test_every_row_is_applied_with_its_meaning_or_reported",
    "tests/courses/test_bad_grade_tables.py",
    "tests/courses/test_bad_values.py",
    "tests/deploy/test_container.py",
    "tests/e2e/test_acts.py",
    "tests/e2e/test_api_docs.py",
    "tests/e2e/test_crowd.py",
    "tests/e2e/test_desk.py",
    "tests/e2e/test_enrolling.py",
    "tests/e2e/test_home.py",
    "tests/e2e/test_imports.py",
    "tests/e2e/test_languages.py",
    "tests/e2e/test_lists.py",
    "tests/e2e/test_login.py",
    "tests/e2e/test_pages.py",
    "tests/e2e/test_password_reset.py",
    "tests/e2e/test_pictures.py",
    "tests/e2e/test_privacy.py",
    "tests/e2e/test_registrar.py",
    "tests/e2e/test_stale_forms.py",
    "tests/e2e/test_term_work.py",
    "tests/hostile/test_admin*.py",
    "tests/hostile/test_api.py",
    "tests/hostile/test_wire.py",
    "tests/oneroster/test_access.py",
    "tests/oneroster/test_conformance.py",
    "tests/oneroster/test_lists.py",
    "tests/oneroster/test_publishing.py::test_a_late_commit_is_not_missed",
    "tests/oneroster/test_publishing.py::test_the_time_moves_whenever_anything_shown_changes_and_only_then",
    "tests/races/test_prerequisites.py::test_a_prerequisite_added_during_a_rename_is_renamed_or_refused",
    "tests/races/test_prerequisites.py::test_two_courses_with_one_code_renamed_simultaneously_leave_no_old_prerequisite",
    "tests/races/test_prerequisites.py::test_two_simultaneous_renames_do_not_create_a_cycle",
    "tests/races/test_retry.py::test_a_deadlock_at_every_attempt_is_reported_as_busy",
    "tests/races/test_waitlist.py::test_imports_and_the_api_share_the_seats",
    "tests/school/test_accounts.py::test_mfa_and_sso_each_work_without_the_other",
    "tests/school/test_batches.py::test_an_answer_has_less_than_100_kb",
    "tests/school/test_conditional.py::test_an_etag_is_the_same_for_every_client_and_accept_header",
    "tests/school/test_cursors.py::test_a_cursor_contains_the_id_of_its_row_and_no_text",
    "tests/school/test_cursors.py::test_pages_in_every_order_cover_the_whole_list_forward_and_backward",
    "tests/school/test_error_reports.py",
    "tests/school/test_generated_client.py",
    "tests/school/test_leftovers.py",
    "tests/school/test_limits.py::test_the_change_feed_scans_a_bounded_number_of_events_for_a_page",
    "tests/school/test_lists.py::test_an_admin_list_takes_the_same_queries_for_any_number_of_rows",
    "tests/school/test_logs.py::test_a_test_run_with_personal_data_in_its_logs_fails",
    "tests/school/test_metrics.py::test_metrics_add_up_all_processes_and_no_label_contains_an_id",
    "tests/school/test_metrics.py::test_metrics_return_404_without_the_right_token",
    "tests/school/test_openapi.py::test_each_documented_example_works_on_the_demo_data",
    "tests/school/test_openapi.py::test_the_document_comes_in_the_form_that_is_asked_for",
    "tests/school/test_openapi_conformance.py",
    "tests/school/test_openapi_links.py",
    "tests/school/test_plans.py",
    "tests/school/test_plans_without_statistics.py",
    "tests/school/test_put_by_key.py::test_of_parallel_requests_for_a_new_key_one_creates_the_row",
    "tests/school/test_replaced_migrations.py",
    "tests/school/test_stale_forms.py::test_a_stale_form_is_refused_for_every_button_and_query",
    "tests/school/test_stale_forms.py::test_every_admin_form_is_refused_when_it_is_stale",
    "tests/school/test_typescript_client.py",
    "tests/security/test_access.py::test_each_role_gets_the_response_of_the_table",
    "tests/security/test_access.py::test_head_and_options_reveal_nothing_that_get_denies",
    "tests/security/test_admin_access.py",
    "tests/security/test_admin_queries.py",
    "tests/security/test_budget*.py",
    "tests/security/test_erasure.py",
    "tests/security/test_files.py::test_the_sqlite_file_is_readable_by_its_owner_only",
    "tests/security/test_limits.py::test_a_large_batch_response_shortens_reasons_to_stay_below_100_kb",
    "tests/security/test_own_courses.py",
    "tests/security/test_requests.py::test_a_killed_server_process_is_replaced",
    "tests/security/test_requests.py::test_the_openapi_document_is_built_once_and_has_an_etag",
    "tests/security/test_roles.py",
    "tests/security/test_settings.py",
    "tests/security/test_wide_rows.py",
    "tests/served/test_backups.py",
    "tests/served/test_commands.py::test_make_run_uses_the_file_of_its_own_folder_with_any_configured_database",
    "tests/served/test_database_away.py",
    "tests/served/test_failover.py",
    "tests/served/test_killed*.py",
    "tests/served/test_nginx.py",
    "tests/served/test_pooler.py",
    "tests/served/test_run.py",
    "tests/served/test_server.py",
    "tests/served/test_sqlite_*.py",
    "tests/served/test_throttling.py",
    "tests/served/test_refused_users.py",
    "tests/students/test_acting.py::test_the_query_count_does_not_depend_on_the_number_of_selected_enrollments",
    "tests/students/test_api_batch.py::test_a_batch_of_a_thousand_items_costs_the_queries_of_ten",
    "tests/students/test_as_of.py::test_lists_and_exports_after_ten_thousand_acts_equal_those_taken_then",
    "tests/students/test_as_of.py::test_lists_and_exports_of_the_past_equal_those_taken_then",
    "tests/students/test_bad_as_of.py",
    "tests/students/test_cancellations.py::test_two_thousand_enrollments_are_cancelled_and_restored",
    "tests/students/test_changes.py::test_a_request_beyond_the_long_poll_limit_is_answered_immediately",
    "tests/students/test_changes.py::test_after_a_restore_cursors_of_lost_entries_expire_and_older_ones_miss_nothing",
    "tests/students/test_demo.py::test_demo_data_has_the_requested_size_and_a_complete_ordered_past_journal",
    "tests/students/test_demo.py::test_enrollments_peak_at_opening_dip_on_weekends_and_drops_spread_over_weeks",
    "tests/students/test_enrolling.py::test_the_query_count_does_not_depend_on_the_number_of_lines",
    "tests/students/test_enrollment.py::test_a_batch_of_a_thousand_costs_the_queries_of_a_batch_of_one",
    "tests/students/test_exports.py::test_an_empty_database_that_imports_the_exports_has_the_same_content",
    "tests/students/test_machine.py",
    "tests/students/test_plain.py",
    "tests/students/test_swaps_with_itself.py",
    "tests/tools/test_language.py",
    "tests/tools/test_messages.py::test_every_text_is_translated",
    "tests/tools/test_mutants.py",
    "tests/tools/test_project.py::test_migrations_can_be_reverted_and_applied_again",
)
# Pages, and the form of requests and answers, which rarely depend on the database. PostgreSQL runs them in
# `make test-all`.
SQLITE_ONLY_IN_TEST = (
    "tests/bulk/test_admin.py",
    "tests/bulk/test_api.py",
    "tests/bulk/test_bundles.py",
    "tests/bulk/test_full.py",
    "tests/bulk/test_lifecycle.py",
    "tests/bulk/test_written_files.py",
    "tests/bulk/test_zips.py",
    "tests/courses/test_corequisite_renames.py",
    "tests/courses/test_grades.py",
    "tests/courses/test_list_limits.py",
    "tests/courses/test_meetings.py",
    "tests/courses/test_prerequisite_items.py",
    "tests/courses/test_renames.py",
    "tests/courses/test_term_copy.py",
    "tests/oneroster/test_bundle.py",
    "tests/oneroster/test_publishing.py",
    "tests/oneroster/test_rest.py",
    "tests/school/test_access.py",
    "tests/school/test_access_page.py",
    "tests/school/test_addresses.py",
    "tests/school/test_bad_input.py",
    "tests/school/test_batches.py",
    "tests/school/test_conditional.py",
    "tests/school/test_cursors.py",
    "tests/school/test_disclosures.py",
    "tests/school/test_logins.py",
    "tests/school/test_logs.py",
    "tests/school/test_manual.py",
    "tests/school/test_metrics.py",
    "tests/school/test_put_by_key.py",
    "tests/school/test_shape.py",
    "tests/school/test_stale_forms.py",
    "tests/school/test_strict_input.py",
    "tests/security/test_access.py",
    "tests/security/test_limited_clients.py",
    "tests/security/test_limits.py",
    "tests/security/test_logins.py",
    "tests/security/test_requests.py",
    "tests/students/test_acting.py",
    "tests/students/test_admin.py",
    "tests/students/test_admin_holds.py",
    "tests/students/test_as_of.py",
    "tests/students/test_cancellation_waivers.py",
    "tests/students/test_course_page.py",
    "tests/students/test_demo.py",
    "tests/students/test_enrolling.py",
    "tests/students/test_exports.py",
    "tests/students/test_grade_sheet.py",
    "tests/students/test_grades.py",
    "tests/students/test_home.py",
    "tests/students/test_imports_holds.py",
    "tests/students/test_imports_values.py",
    "tests/students/test_lists.py",
    "tests/students/test_lost_requirements.py",
    "tests/students/test_pasted.py",
    "tests/students/test_privacy.py",
    "tests/students/test_seats_by_other_courses.py",
    "tests/students/test_student_page.py",
    "tests/students/test_swaps_of_open.py",
    "tests/students/test_values.py",
    "tests/webhooks/test_admin.py",
    "tests/webhooks/test_api.py",
    "tests/webhooks/test_delivery.py",
    "tests/webhooks/test_operation.py",
)
# The tests that do not depend on the database: of pages, texts, documents and processes.
ONCE = (
    "tests/bulk/test_cells.py",
    "tests/bulk/test_reading.py",
    "tests/bulk/test_temporary_copy.py",
    "tests/deploy/*.py",
    "tests/e2e/*.py",
    "tests/hostile/test_wire.py",
    "tests/school/test_commands.py",
    "tests/school/test_compatibility.py",
    "tests/school/test_desk.py",
    "tests/school/test_error_pages.py",
    "tests/school/test_generated_client.py",
    "tests/school/test_languages.py",
    "tests/school/test_openapi*.py",
    "tests/school/test_passwords.py",
    "tests/school/test_typescript_client.py",
    "tests/school/test_wording.py",
    "tests/security/test_admin_access.py",
    "tests/security/test_budget*.py",
    "tests/security/test_own_courses.py",
    "tests/security/test_roles.py",
    "tests/security/test_settings.py",
    "tests/served/test_commands.py",
    "tests/served/test_nginx.py",
    "tests/served/test_run.py",
    "tests/served/test_server.py",
    "tests/served/test_sqlite_*.py",
    "tests/students/test_rules.py",
    "tests/tools/test_docs.py",
    "tests/tools/test_failover_checker.py",
    "tests/tools/test_language.py",
    "tests/tools/test_messages.py",
    "tests/tools/test_mutants.py",
    "tests/tools/test_project.py",
    "tests/webhooks/test_docs.py",
    "tests/webhooks/test_sender.py",
    "tests/webhooks/test_signing_secrets.py",
)


def main(arguments: list[str]) -> int:
    options = [each for each in arguments if each in OPTIONS]
    arguments = [each for each in arguments if each not in OPTIONS]
    if A11Y in options:
        return int(_run_half("SQLite", "sqlite:///:memory:", [ACCESSIBILITY, *arguments]))
    # Files named in the arguments run on both databases.
    has_paths = any(each.startswith("tests/") for each in arguments)
    is_everything = EVERYTHING in options
    left_out = () if has_paths else (ACCESSIBILITY, *(() if is_everything else EXHAUSTIVE))
    on_sqlite = () if has_paths else (*ONCE, *(() if is_everything else SQLITE_ONLY_IN_TEST))
    if THROUGH_POOLER in options:
        return int(_run_through_pooler([*_ignoring((*left_out, *on_sqlite)), *arguments]))
    failed = _run_half("SQLite", "sqlite:///:memory:", [*_ignoring(left_out), *arguments])
    server = _postgres()
    if server is None:
        print("The PostgreSQL half did not run: no DATABASE_URL, and no PostgreSQL on this machine.", flush=True)
        return 1 if failed or os.environ.get("REQUIRE_ALL") == "1" else 0
    with server as url:
        failed |= _run_half("PostgreSQL", url, [*_ignoring((*left_out, *on_sqlite)), *arguments])
    return int(failed)


def _ignoring(files_and_tests: Iterable[str]) -> list[str]:
    return [f"--deselect={each}" if "::" in each else f"--ignore-glob={each}" for each in files_and_tests]


def _postgres() -> AbstractContextManager[str] | None:
    given = os.environ.get("DATABASE_URL", "")
    if given.startswith(("postgres:", "postgresql:", "psql:", "pgsql:")):
        return nullcontext(given)
    binaries = find_binaries()
    return temporary_server(binaries) if binaries else None


def _run_through_pooler(arguments: list[str]) -> bool:
    """Run the tests through PgBouncer. The databases are made directly, and are not dropped: the pooler is in them."""
    binaries = find_binaries()
    if binaries is None or find_pgbouncer() is None:
        print("The tests through PgBouncer did not run: apt-get install postgresql pgbouncer.", flush=True)
        return True
    with temporary_server(binaries) as direct_url, pgbouncer(direct_url) as url:
        os.environ.update(POOLER="transaction", TEST_DIRECT_DATABASE_URL=direct_url)
        return _run_half("PostgreSQL through PgBouncer", url, ["--reuse-db", *arguments])


def _run_half(name: str, url: str, arguments: list[str]) -> bool:
    print(f"== {name} ==", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal", *arguments]
    return subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, check=False).returncode != 0


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compile test modules, and the commands that tests start, once
    sys.exit(main(sys.argv[1:]))
