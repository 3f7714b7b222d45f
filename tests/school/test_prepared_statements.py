"""Prepared statements take what psycopg takes, and fail as it fails."""

from datetime import UTC, date, datetime

import pytest
from django.db import DataError, IntegrityError, ProgrammingError, connection, transaction

from courses.models import Course
from school.db.compiled_queries import MAX_PREPARED_LIST, ON_POSTGRESQL, array_literal, run_statement, run_statements
from tests.factories import make_course

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
def test_a_value_comes_back_as_it_was_sent(db, type_, value):
    for _again in range(2):
        assert run_statement(f"SELECT %s::{type_}, '%%'", [value]) == [(value, "%")]


@pytest.mark.django_db(transaction=True)
def test_a_text_that_no_database_can_hold_is_refused_and_not_cut():
    with pytest.raises(DataError):
        run_statement("SELECT %s::text", ["a\0b"])

    assert run_statement("SELECT %s::text", ["ab"]) == [("ab",)]


@pytest.mark.django_db(transaction=True)
def test_of_statements_sent_together_the_first_that_fails_is_told_of_and_all_of_them_are_undone():
    course = make_course(code="A")
    rename = "UPDATE courses_course SET code = %s WHERE id = %s RETURNING code"

    with pytest.raises(DataError):
        run_statements([(rename, ["B", course.pk]), ("SELECT 1 / %s::int", [0]), ("SELECT %s::int / 0", [1])])

    assert Course.objects.get().code == "A"
    assert run_statements([(rename, ["C", course.pk]), ("SELECT 1 / %s::int", [1])]) == [[("C",)], [(1,)]]


@pytest.mark.django_db(transaction=True)
def test_the_first_statement_of_a_transaction_begins_it():
    make_course(code="A")

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        assert run_statement("UPDATE courses_course SET code = %s RETURNING code", ["B"]) == [("B",)]
        raise ZeroDivisionError

    assert Course.objects.get().code == "A"


@pytest.mark.django_db(transaction=True)
def test_what_fails_in_a_transaction_leaves_the_connection_to_the_next():
    make_course(code="A")
    twice = "INSERT INTO courses_course SELECT * FROM courses_course WHERE code = %s RETURNING id"

    for _again in range(2):
        with pytest.raises(IntegrityError), transaction.atomic():
            run_statements([("SELECT %s::int", [1]), (twice, ["A"])])

    assert run_statement("SELECT count(*) FROM courses_course WHERE code = %s", ["A"]) == [(1,)]


@pytest.mark.django_db(transaction=True)
def test_what_could_not_be_prepared_can_be_asked_again():
    question = "SELECT %s::int FROM not_there_yet"
    with pytest.raises(ProgrammingError):
        run_statement(question, [1])

    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE not_there_yet AS SELECT 1")

    assert run_statement(question, [1]) == [(1,)]


@pytest.mark.parametrize(("size", "kept"), [(1, 1), (MAX_PREPARED_LIST, 0)])
def test_a_statement_with_a_long_list_is_planned_anew_each_time(db, size, kept):
    question = f"SELECT %s::bigint[], {size}"  # a text of its own for each size

    for _again in range(2):
        assert run_statement(question, [array_literal(range(size))]) == [([*range(size)], size)]

    count = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s"
    assert run_statement(count, [f"SELECT $1::bigint[], {size}"]) == [(kept,)]


def test_an_answer_that_is_larger_than_any_buffer_comes_whole(db):
    [[(first,)], [(second,)]] = run_statements([("SELECT repeat(%s, 5000000)", [letter]) for letter in "ab"])

    assert (first, second) == ("a" * 5_000_000, "b" * 5_000_000)


def test_a_question_that_is_larger_than_any_buffer_is_sent_whole(db):
    text = "x" * 5_000_000

    assert run_statements([("SELECT length(%s)", [text])] * 3) == [[(5_000_000,)]] * 3
