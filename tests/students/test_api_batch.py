"""Batch requests of the API: an outcome for each item, in order, at a constant number of queries."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from students.enrollment import enroll
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

URL = "/api/v1/enrollments/batch"


def post(api, *items, **envelope):
    return api.post(URL, {"items": items, **envelope})


def item(action, student, course, **more):
    return {"action": action, "student_id": student.pk, "course_id": course.pk, **more}


def outcomes_of(answer):
    """Return status and code of each outcome."""
    return [(outcome["status"], outcome["code"]) for outcome in answer.json()["outcomes"]]


def test_each_batch_item_has_an_outcome_with_the_fields_of_a_single_response(api, actor):
    ada, bob, math = make_student(), make_student(), make_course(code="MATH-101", term=make_term(code="2026F"))
    art = make_course(code="ART-101")
    enroll(student_id=bob.pk, course_id=math.pk, actor=actor)

    answer = post(
        api,
        {"action": "enroll", "student_number": ada.student_number, "course_code": "MATH-101", "term": "2026F"},
        item("enroll", bob, math),
        {"action": "complete", "student_id": bob.pk, "course_code": "MATH-101", "term": "2026F", "grade": "A"},
        item("enroll", bob, art),
        item("drop", bob, art, reason="moved"),
        item("drop", bob, art),
    )

    assert answer.status_code == 200
    statuses = ["created", "unchanged", "updated", "created", "updated", "unchanged"]
    assert outcomes_of(answer) == [(status, None) for status in statuses]
    for outcome, (student, course) in zip(
        answer.json()["outcomes"],
        [(ada, math), (bob, math), (bob, math), (bob, art), (bob, art), (bob, art)],
        strict=True,
    ):
        assert outcome["enrollment"] == api.get(f"/api/v1/students/{student.pk}/courses/{course.pk}").json()
    assert EnrollmentEvent.objects.latest("pk").reason == "moved"


def test_invalid_items_are_reported_individually_and_the_others_are_applied(api):
    student, course, full = make_student(), make_course(), make_course(code="FULL", capacity=0)
    for term in ("2026F", "2027S"):
        make_course(code="TWICE", term=make_term(code=term))

    answer = post(
        api,
        item("enroll", student, course),
        item("enroll", student, full),
        {"action": "enroll", "student_number": "nobody", "course_code": "NOTHING"},
        {"action": "enroll", "student_id": student.pk, "course_code": "TWICE"},
        {"action": "drop", "student_id": 2**62, "course_id": course.pk},
        {"action": "complete", "student_id": student.pk, "course_id": course.pk, "on_full": "reject"},
        {"action": "enroll"},
        {"action": "erase", "student_id": student.pk, "course_id": course.pk},
        {"student_id": student.pk, "course_id": course.pk},
        item("drop", student, full),
        item("enroll", student, course, waive=["student_inactive"]),
        ["enroll"],
        None,
    )

    assert answer.status_code == 207
    assert outcomes_of(answer) == [
        ("created", None),
        ("refused", "course_full"),
        ("not_found", "student_not_found"),
        ("refused", "course_ambiguous"),
        ("not_found", "student_not_found"),
        ("invalid", "unknown_field"),
        ("invalid", "which_student"),
        ("invalid", "invalid_choice"),
        ("invalid", "required"),
        ("not_found", "not_enrolled"),
        ("invalid", "not_waivable"),
        ("invalid", "invalid"),
        ("invalid", "invalid"),
    ]
    assert answer.json()["outcomes"][2] == {
        "index": 2,
        "status": "not_found",
        "code": "student_not_found",
        "message": "There is no student number:nobody. There is no course code:NOTHING.",
        "errors": [
            {"code": "student_not_found", "field": None, "message": "There is no student number:nobody."},
            {"code": "course_not_found", "field": None, "message": "There is no course code:NOTHING."},
        ],
        "enrollment": None,
    }
    assert [error["field"] for error in answer.json()["outcomes"][10]["errors"]] == ["waive", "reason"]
    assert StudentCourse.objects.get().course == course


def test_a_batch_with_no_applied_item_is_a_problem_with_outcomes(api):
    answer = post(api, item("drop", make_student(), make_course()))

    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    assert (answer.json()["code"], outcomes_of(answer)) == ("nothing_applied", [("not_found", "not_enrolled")])


@pytest.mark.parametrize(
    ("flaw", "status"),
    [
        ({"course_id": 2**62}, "not_found"),
        ({"course_id": "x"}, "invalid"),
        ({"course_id": None, "course_code": "FULL"}, "refused"),
    ],
)
def test_an_atomic_batch_is_applied_completely_or_not_at_all(api, flaw, status):
    student, course = make_student(), make_course()
    make_course(code="FULL", capacity=0)
    bad = {name: value for name, value in {**item("enroll", student, course), **flaw}.items() if value is not None}

    answer = post(api, item("enroll", student, course), bad, item("drop", student, course), atomic=True)

    assert (answer.status_code, answer.json()["code"]) == (422, "nothing_applied")
    assert [outcome["status"] for outcome in answer.json()["outcomes"]] == ["not_applied", status, "not_applied"]
    assert [outcome["enrollment"] for outcome in answer.json()["outcomes"]] == [None] * 3
    assert (StudentCourse.objects.count(), EnrollmentEvent.objects.count()) == (0, 0)

    answer = post(api, item("enroll", student, course), item("drop", student, course), atomic=True)

    assert (answer.status_code, outcomes_of(answer)) == (200, [("created", None), ("updated", None)])
    assert StudentCourse.objects.get().status == "dropped"


def test_a_seat_freed_by_an_item_goes_to_the_waitlist_before_the_next_item(api, actor):
    leaving, waiting, late, course = make_student(), make_student(), make_student(), make_course(capacity=1)
    course.waitlist_capacity = 5
    course.save()
    for student in (leaving, waiting):
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)

    answer = post(api, item("drop", leaving, course), item("enroll", late, course, on_full="waitlist"))

    assert answer.status_code == 200
    assert answer.json()["outcomes"][1]["enrollment"]["waitlist_position"] == 1
    assert StudentCourse.objects.enrolled().get().student == waiting


def test_a_waiver_in_a_batch_needs_the_same_permission_as_a_single_one(make_client):
    student, course = make_student(), make_course(capacity=0)
    waived = item("enroll", student, course, waive=["course_full"], reason="the dean agreed")

    without = post(make_client("enrollments:write"), waived)
    with_right = post(make_client("enrollments:write", "enrollments:waive"), waived)

    assert (without.status_code, outcomes_of(without)) == (422, [("refused", "waiver_not_allowed")])
    assert (with_right.status_code, outcomes_of(with_right)) == (200, [("created", None)])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, ["required"]),
        ({"items": []}, 400, ["empty"]),
        ({"items": {}}, 400, ["not_a_list"]),
        ({"items": [{}], "atomic": "yes"}, 400, ["invalid"]),
        ({"items": [{}], "dry": True}, 400, ["unknown_field"]),
        ({"items": [{}] * 1001}, 413, ["too_many_items"]),
    ],
)
def test_a_malformed_batch_is_refused_completely(api, body, status, code):
    answer = api.post(URL, body)

    assert (answer.status_code, [error["code"] for error in answer.json()["errors"]]) == (status, code)


UNEVEN = ("nextval", "school_count(")


def test_a_batch_of_a_thousand_items_costs_the_queries_of_ten(api, actor):
    courses = [make_course(capacity=2, waitlist_capacity=None, term=make_term()) for _ in range(2)]
    courses.append(make_course())
    costs = []
    for size in (10, 1000):
        students = [make_student() for _ in range(size)]
        items = [
            {
                "action": "enroll",
                "student_number": student.student_number,
                "course_code": courses[number % 2].code,
                "on_full": "waitlist",
            }
            for number, student in enumerate(students)
        ]
        # Some students are enrolled or waitlisted already; some drop courses with a waitlist.
        for student in students[:5]:
            enroll(student_id=student.pk, course_id=courses[2].pk, actor=actor)
            items[students.index(student)] |= {"action": "drop", "course_code": courses[2].code}
            del items[students.index(student)]["on_full"]
        with CaptureQueriesContext(connection) as queries:
            answer = post(api, *items)
        assert answer.status_code == 200
        assert len(answer.json()["outcomes"]) == size
        # Many rows are copied, with ids reserved before, few are inserted; the request count is stored occasionally.
        statements = [query["sql"] for query in queries if not any(word in query["sql"] for word in UNEVEN)]
        costs.append(sum(not sql.startswith(("INSERT", "COPY")) for sql in statements))

    assert costs[0] == costs[1]


def test_a_registrar_can_drop_in_a_batch_and_a_viewer_cannot(viewer, registrar, actor):
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    statuses = []
    for user in (viewer, registrar):
        client = APIClient()
        client.force_login(user)
        statuses.append(post(client, item("drop", student, course)).status_code)

    assert statuses == [403, 200]
