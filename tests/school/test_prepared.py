"""Compiled queries return the same rows as their querysets for all parameters."""

import psycopg
import pytest
from django.db import DataError, OperationalError, connection, transaction
from django.db.models import Count

from courses.models import Course
from school.db.compiled_queries import (
    BoundStatement,
    PreparedQuery,
    QueryParameter,
    StatementCache,
    compile_statement,
    run_statement,
    run_statements,
)
from students.models import Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL prepares")


@pytest.fixture
def courses(db):
    return [make_course(term=make_term()), make_course(prerequisites=["A", "B"]), make_course(capacity=3)]


def test_a_compiled_query_returns_models_with_their_related_rows(courses, django_assert_num_queries):
    of = PreparedQuery(lambda ids: Course.objects.filter(pk__any_of=ids).select_related("term").order_by("pk"))

    for chosen in (courses, courses[:1], courses[1:]):
        with django_assert_num_queries(1):
            found = of([course.pk for course in chosen])
            shown = [(course, course.term and course.term.code, course.prerequisites) for course in found]
        assert shown == [(course, course.term and course.term.code, course.prerequisites) for course in chosen]
        assert [course._state.adding for course in found] == [False] * len(chosen)


def test_a_compiled_query_returns_tuples_and_annotations_like_its_queryset(courses, actor):
    counted = PreparedQuery(
        lambda ids: Course.objects.filter(pk__any_of=ids).annotate(held=Count("enrollments")).order_by("pk")
    )
    pairs = PreparedQuery(lambda ids: Course.objects.filter(pk__any_of=ids).order_by("pk").values_list("pk", "code"))
    ids = [course.pk for course in courses]

    assert [course.held for course in counted(ids)] == [0, 0, 0]
    assert pairs(ids[:2]) == [(course.pk, course.code) for course in courses[:2]]


def test_a_compiled_query_for_no_ids_runs_no_statement(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert PreparedQuery(lambda ids: Student.objects.filter(pk__any_of=ids))([]) == []


def test_a_compiled_query_accepts_a_single_value(db):
    student = make_student()
    beyond = PreparedQuery(lambda pk: Student.objects.filter(pk__gte=pk))

    assert (beyond(student.pk), beyond(student.pk + 1)) == ([student], [])


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_lost_connection_is_reopened_outside_a_transaction():
    assert run_statement("SELECT %s::int", [1]) == [(1,)]
    _end_the_connection()

    assert run_statement("SELECT %s::int", [2]) == [(2,)]

    with pytest.raises(OperationalError), transaction.atomic():
        run_statement("SELECT %s::int", [3])
        _end_the_connection()
        run_statement("SELECT %s::int", [4])
    assert StudentCourse.objects.count() == 0


def _end_the_connection():
    params = {**connection.get_connection_params()}
    [(pid,)] = run_statement("SELECT pg_backend_pid()", [])
    with psycopg.connect(
        host=params["host"], port=params["port"], user=params["user"], dbname=params["dbname"], autocommit=True
    ) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_statements_use_the_cursors_of_a_connection_again_also_after_an_error():
    statements: list[BoundStatement] = [("SELECT %s::int", [1]), ("SELECT %s::text", ["a"])]
    with pytest.raises(DataError):
        run_statements([("SELECT 1 / %s::int", [0]), *statements])
    cursors = list(connection.connection.idle_cursors)

    assert run_statements(statements) == [[(1,)], [("a",)]]
    assert run_statements(statements[::-1]) == [[("a",)], [(1,)]]
    assert connection.connection.idle_cursors == cursors


def test_the_statement_cache_is_bounded_and_evicts_the_least_recently_used():
    cache = StatementCache(max_size=2)
    built: list[str] = []

    def get(shape: str) -> str:
        return cache.get(shape, lambda: built.append(shape) or shape)  # type: ignore[func-returns-value]

    assert [get(shape) for shape in ("a", "b", "a", "c", "a", "b")] == ["a", "b", "a", "c", "a", "b"]
    assert (built, len(cache)) == (["a", "b", "c", "b"], 2)


def test_a_parameter_is_converted_by_its_model_field(db):
    make_course(code="ä")
    rows = Course.objects.filter(code=QueryParameter("code", Course._meta.get_field("code"))).values_list("code")

    assert [compile_statement(rows).run({"code": code}) for code in ("a\u0308", "a")] == [[("ä",)], []]
