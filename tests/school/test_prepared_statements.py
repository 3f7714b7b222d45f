"""Prepared statements accept the same values and raise the same errors as psycopg."""

from datetime import UTC, date, datetime

import pytest
from django.db import DataError, IntegrityError, ProgrammingError, connection, transaction

from courses.models import Course
from school.db.compiled_queries import MAX_PREPARED_LIST, ON_POSTGRESQL, array_literal, run_statement, run_statements
from tests.support.factories import make_course

pytestmark = pytest.mark.skipif(not ON_POSTGRESQL, reason="Only PostgreSQL prepares.")

AT = datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("text", "Zoë 'Ζ' \\ % %s $1 \u2028"),
        ("text", ""),
        ("text", None),
        ("bigint", 2**62),
        ("boolean", True),
        ("date", date(2026, 3, 4)),
        ("timestamptz", AT),
        ("text[]", ["a", 'b"', "{c,d}", "NULL"]),
        ("bigint[]", [1, 2]),
    ],
)
def test_a_prepared_statement_returns_the_value_that_was_sent(db, type_, value):
    for _again in range(2):
        assert run_statement(f"SELECT %s::{type_}, '%%'", [value]) == [(value, "%")]


@pytest.mark.django_db(transaction=True)
def test_a_text_with_a_nul_character_is_rejected_and_not_truncated():
    with pytest.raises(DataError):
        run_statement("SELECT %s::text", ["a\0b"])

    assert run_statement("SELECT %s::text", ["ab"]) == [("ab",)]


@pytest.mark.django_db(transaction=True)
def test_a_pipeline_raises_its_first_error_and_rolls_back_all_statements():
    course = make_course(code="A")
    rename = "UPDATE courses_course SET code = %s WHERE id = %s RETURNING code"

    with pytest.raises(DataError):
        run_statements([(rename, ["B", course.pk]), ("SELECT 1 / %s::int", [0]), ("SELECT %s::int / 0", [1])])

    assert Course.objects.get().code == "A"
    assert run_statements([(rename, ["C", course.pk]), ("SELECT 1 / %s::int", [1])]) == [[("C",)], [(1,)]]


@pytest.mark.django_db(transaction=True)
def test_the_first_prepared_statement_starts_the_transaction():
    make_course(code="A")

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        assert run_statement("UPDATE courses_course SET code = %s RETURNING code", ["B"]) == [("B",)]
        raise ZeroDivisionError

    assert Course.objects.get().code == "A"


@pytest.mark.django_db(transaction=True)
def test_a_connection_is_usable_after_a_failed_transaction():
    make_course(code="A")
    twice = "INSERT INTO courses_course SELECT * FROM courses_course WHERE code = %s RETURNING id"

    for _again in range(2):
        with pytest.raises(IntegrityError), transaction.atomic():
            run_statements([("SELECT %s::int", [1]), (twice, ["A"])])

    assert run_statement("SELECT count(*) FROM courses_course WHERE code = %s", ["A"]) == [(1,)]


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_failed_to_prepare_can_be_run_again():
    question = "SELECT %s::int FROM not_there_yet"
    with pytest.raises(ProgrammingError):
        run_statement(question, [1])

    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE not_there_yet AS SELECT 1")

    assert run_statement(question, [1]) == [(1,)]


@pytest.mark.parametrize(("size", "kept"), [(1, 1), (MAX_PREPARED_LIST, 0)])
def test_a_statement_with_a_long_list_is_not_kept_prepared(db, size, kept):
    question = f"SELECT %s::bigint[], {size}"  # a different statement for each size

    for _again in range(2):
        assert run_statement(question, [array_literal(range(size))]) == [([*range(size)], size)]

    count = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s"
    assert run_statement(count, [f"SELECT $1::bigint[], {size}"]) == [(kept,)]


def test_a_result_larger_than_the_socket_buffer_is_complete(db):
    [[(first,)], [(second,)]] = run_statements([("SELECT repeat(%s, 5000000)", [letter]) for letter in "ab"])

    assert (first, second) == ("a" * 5_000_000, "b" * 5_000_000)


def test_a_parameter_larger_than_the_socket_buffer_is_sent_completely(db):
    text = "x" * 5_000_000

    assert run_statements([("SELECT length(%s)", [text])] * 3) == [[(5_000_000,)]] * 3
