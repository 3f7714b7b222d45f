"""Simultaneous renames, deletions and new prerequisites, on parallel connections to PostgreSQL."""

import pytest
from django.db import connection
from rest_framework.test import APIClient

from courses.models import Course
from tests.support.factories import make_course, make_term
from tests.support.races import race

ROUNDS = 25

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="a race is only proved on PostgreSQL"),
]


def race_of(api, *requests):
    """Send these requests, each a function of the round, simultaneously; return the statuses of each round."""
    token = api._credentials["HTTP_AUTHORIZATION"]
    statuses = [[0] * len(requests) for _ in range(ROUNDS)]

    def act(runner, number):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=token)
        statuses[number][runner] = requests[runner](client, number).status_code

    race(act, ROUNDS, runners=len(requests))
    return statuses


def dangling():
    """Return the required codes that no course has."""
    asked = {code for codes in Course.objects.values_list("prerequisites", flat=True) for code in codes}
    return asked - set(Course.objects.values_list("code", flat=True))


def test_a_prerequisite_added_during_a_rename_is_renamed_or_refused(api):
    intros = [make_course(code=f"INTRO{n}") for n in range(ROUNDS)]
    following = [make_course(code=f"ADV{n}") for n in range(ROUNDS)]

    statuses = race_of(
        api,
        lambda client, n: client.patch(f"/api/v1/courses/{intros[n].pk}", {"code": f"NEW{n}"}),
        lambda client, n: client.patch(f"/api/v1/courses/{following[n].pk}", {"prerequisites": [f"INTRO{n}"]}),
    )

    expected = [[] if added == 400 else [f"NEW{n}"] for n, (_renamed, added) in enumerate(statuses)]
    assert {renamed for renamed, _added in statuses} == {200}
    assert {added for _renamed, added in statuses} <= {200, 400}
    assert [Course.objects.get(pk=each.pk).prerequisites for each in following] == expected
    assert dangling() == set()


def test_a_course_is_deleted_or_becomes_a_prerequisite_and_never_both(api):
    intros = [make_course(code=f"INTRO{n}") for n in range(ROUNDS)]
    following = [make_course(code=f"ADV{n}") for n in range(ROUNDS)]

    statuses = race_of(
        api,
        lambda client, n: client.delete(f"/api/v1/courses/{intros[n].pk}"),
        lambda client, n: client.patch(f"/api/v1/courses/{following[n].pk}", {"prerequisites": [f"INTRO{n}"]}),
    )

    assert {tuple(each) for each in statuses} <= {(204, 400), (409, 200)}
    assert dangling() == set()


def test_of_two_courses_with_one_required_code_deleted_simultaneously_one_stays(api):
    pairs = [[make_course(code=f"INTRO{n}"), make_course(code=f"INTRO{n}", term=make_term())] for n in range(ROUNDS)]
    for n in range(ROUNDS):
        make_course(code=f"ADV{n}", prerequisites=[f"INTRO{n}"])

    statuses = race_of(
        api,
        lambda client, n: client.delete(f"/api/v1/courses/{pairs[n][0].pk}"),
        lambda client, n: client.delete(f"/api/v1/courses/{pairs[n][1].pk}"),
    )

    assert {tuple(sorted(each)) for each in statuses} == {(204, 409)}
    assert dangling() == set()


def test_two_courses_with_one_code_renamed_simultaneously_leave_no_old_prerequisite(api):
    pairs = [[make_course(code=f"INTRO{n}"), make_course(code=f"INTRO{n}", term=make_term())] for n in range(ROUNDS)]
    following = [make_course(code=f"ADV{n}", prerequisites=[f"INTRO{n}"]) for n in range(ROUNDS)]

    statuses = race_of(
        api,
        lambda client, n: client.patch(f"/api/v1/courses/{pairs[n][0].pk}", {"code": f"ONE{n}"}),
        lambda client, n: client.patch(f"/api/v1/courses/{pairs[n][1].pk}", {"code": f"TWO{n}"}),
    )

    assert {tuple(each) for each in statuses} == {(200, 200)}
    assert {len(Course.objects.get(pk=each.pk).prerequisites) for each in following} == {1}
    assert dangling() == set()


def test_two_simultaneous_renames_do_not_create_a_cycle(api):
    """B requires A, and D requires C. A may become D, or C may become B; both together would be a cycle."""
    first = [make_course(code=f"A{n}", term=make_term()) for n in range(ROUNDS)]
    second = [make_course(code=f"C{n}", term=make_term()) for n in range(ROUNDS)]
    for n in range(ROUNDS):
        make_course(code=f"B{n}", prerequisites=[f"A{n}"])
        make_course(code=f"D{n}", prerequisites=[f"C{n}"])

    statuses = race_of(
        api,
        lambda client, n: client.patch(f"/api/v1/courses/{first[n].pk}", {"code": f"D{n}"}),
        lambda client, n: client.patch(f"/api/v1/courses/{second[n].pk}", {"code": f"B{n}"}),
    )

    assert {tuple(sorted(each)) for each in statuses} == {(200, 400)}
    assert dangling() == set()
