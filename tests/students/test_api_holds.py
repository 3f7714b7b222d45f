"""The API of holds: place, list and release them."""

import pytest
from django.contrib.auth.models import Group, User
from rest_framework.test import APIClient

from courses.api_client_creation import create_api_client
from school.models import ApiClient
from students.enrollment import drop, enroll
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, Hold, StudentCourse
from tests.support.clients import api_client
from tests.support.factories import make_course, make_hold, make_student, make_term

pytestmark = pytest.mark.django_db


@pytest.fixture
def library(make_client):
    return make_client("holds:read", "holds:write")


def holds_of(student):
    return f"/api/v1/students/{student.pk}/holds"


def errors(answer):
    return [(each["code"], each["field"]) for each in answer.json()["errors"]]


def test_a_hold_is_placed_and_shown(library):
    student, term = make_student(), make_term(code="2026F")

    body = {"code": "LIBRARY", "reason": "owes a book", "from": "2026-09-01", "until": "2026-12-31", "term": "2026F"}
    answer = library.post(holds_of(student), body)

    placed = answer.json()
    assert (answer.status_code, answer["Location"]) == (201, f"http://testserver{holds_of(student)}/{placed['id']}")
    assert {name: placed[name] for name in body} == body
    assert placed["placed_by"].startswith("client:")
    assert (placed["placed_at"][-1], placed["released_at"], placed["released_by"]) == ("Z", None, None)
    assert library.get(answer["Location"]).json() == placed
    assert library.get(holds_of(student)).json()["results"] == [placed]
    assert Hold.objects.get().term == term


def test_a_repeated_request_places_no_second_hold(library):
    student = make_student()

    answers = [library.post(holds_of(student), {"code": "LIBRARY"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0]["ETag"] == answers[1]["ETag"]


def test_a_retry_with_a_key_after_the_release_places_no_second_hold(library):
    student, key = make_student(), {"HTTP_IDEMPOTENCY_KEY": "one"}
    placed = library.post(holds_of(student), {"code": "LIBRARY"}, **key).json()
    library.delete(f"{holds_of(student)}/{placed['id']}")

    retried = library.post(holds_of(student), {"code": "LIBRARY"}, **key)

    assert (retried.status_code, retried.json(), Hold.objects.count()) == (201, placed, 1)


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({}, 400, [("required", "code")]),
        ({"code": ""}, 400, [("blank", "code")]),
        ({"code": "a/b"}, 400, [("invalid_identifier", "code")]),
        ({"code": "x" * 33}, 400, [("max_length", "code")]),
        ({"code": "FEES", "reason": "x" * 501}, 400, [("max_length", "reason")]),
        ({"code": "FEES", "reason": 7}, 400, [("invalid", "reason")]),
        ({"code": "FEES", "until": "soon"}, 400, [("invalid", "until")]),
        ({"code": "FEES", "from": "0001-01-01"}, 400, [("year_out_of_range", "from")]),
        ({"code": "FEES", "from": "2026-09-02", "until": "2026-09-01"}, 400, [("dates_reversed", "until")]),
        ({"from": "2026-09-02", "until": "2026-09-01"}, 400, [("dates_reversed", "until"), ("required", "code")]),
        ({"code": "FEES", "term": "NONE"}, 400, [("does_not_exist", "term")]),
        ({"code": "FEES", "student": 1}, 400, [("unknown_field", "student")]),
        ({"code": "LIBRARY", "reason": "another"}, 409, [("unique", "code")]),
    ],
)
def test_invalid_holds_are_refused_by_field(library, body, status, expected):
    student = make_student()
    make_hold(student, "LIBRARY")

    answer = library.post(holds_of(student), body)

    assert (answer.status_code, sorted(errors(answer))) == (status, expected)
    assert Hold.objects.count() == 1


def test_an_unknown_student_has_no_holds(library):
    for path in ("/api/v1/students/999/holds", "/api/v1/students/number:S-0/holds"):
        answers = [library.get(path), library.post(path, {"code": "LIBRARY"}), library.delete(f"{path}/1")]
        assert [answer.status_code for answer in answers] == [404, 404, 404]


def test_a_release_keeps_the_hold_in_the_history_and_can_be_repeated(library):
    student = make_student()
    hold = make_hold(student, "LIBRARY")
    path = f"{holds_of(student)}/{hold.pk}"

    assert [library.delete(path).status_code for _ in range(2)] == [204, 204]

    assert library.get(holds_of(student)).json()["results"] == []
    [released] = library.get(f"{holds_of(student)}?status=all").json()["results"]
    assert released == library.get(path).json()
    assert (released["released_at"] is not None, released["released_by"][:7]) == (True, "client:")
    assert library.post(holds_of(student), {"code": "LIBRARY"}).status_code == 201


def test_a_release_by_another_student_and_one_with_an_old_etag_are_refused(library):
    student = make_student()
    hold = make_hold(student, "LIBRARY")

    other = library.delete(f"{holds_of(make_student())}/{hold.pk}")
    outdated = library.delete(f"{holds_of(student)}/{hold.pk}", HTTP_IF_MATCH='"old"')

    assert (other.status_code, outdated.status_code) == (404, 412)
    assert Hold.objects.open().count() == 1


def test_a_release_gives_a_free_seat_to_the_waitlisted_student(library, actor):
    course, holder, waiter = make_course(capacity=1, waitlist_capacity=1), make_student(), make_student()
    for student in (holder, waiter):
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
    hold = make_hold(waiter)
    drop(student_id=holder.pk, course_id=course.pk, actor=actor)

    answer = library.delete(f"{holds_of(waiter)}/{hold.pk}")

    promoted = EnrollmentEvent.objects.latest("pk")
    assert StudentCourse.objects.enrolled().get().student == waiter
    assert (promoted.action, promoted.request_id) == ("promote", answer["X-Request-ID"])


def test_a_refused_enrollment_names_each_hold_without_its_reason(make_client):
    student, course = make_student(), make_course()
    make_hold(student, "LIBRARY", reason="owes a book")
    make_hold(student, "FEES", reason="owes 300 euros")

    answer = make_client("enrollments:write").post(f"/api/v1/students/{student.pk}/courses", {"course_id": course.pk})

    assert (answer.status_code, errors(answer)) == (409, [("on_hold", None), ("on_hold", None)])
    assert answer.json()["detail"] == "This student has the hold LIBRARY. This student has the hold FEES."


def test_a_limited_client_sees_the_holds_of_its_students_for_its_terms(actor):
    own, other = make_term(code="OWN"), make_term(code="OTHER")
    student, stranger = make_student(), make_student()
    enroll(student_id=student.pk, course_id=make_course(term=own).pk, actor=actor)
    for code, term in {"ALL": None, "OWN": own, "OTHER": other}.items():
        make_hold(student, code, term_id=term and term.pk)
    make_hold(stranger)
    keys = create_api_client("limited", "holds:read holds:write", terms=["OWN"])
    client = client_of(keys)

    assert [each["code"] for each in client.get(holds_of(student)).json()["results"]] == ["ALL", "OWN"]
    assert client.get(holds_of(stranger)).status_code == 404
    placing = client.post(holds_of(student), {"code": "NEW", "term": "OWN"})
    releasing = client.delete(f"{holds_of(student)}/{Hold.objects.get(code='OWN').pk}")
    assert [(placing.status_code, placing.json()["code"])] == [(403, "outside_limits")]
    assert [(releasing.status_code, releasing.json()["code"])] == [(403, "outside_limits")]
    assert Hold.objects.open().count() == 4


def client_of(keys):
    assert ApiClient.objects.get(client_id=keys.client_id).is_limited
    return api_client(keys)


def test_staff_of_a_course_see_no_holds(actor):
    teacher = User.objects.create_user("teacher", is_staff=True)
    teacher.groups.set(Group.objects.filter(name__in=["Course staff", "Registrar"]))
    course, student = make_course(), make_student()
    course.staff.create(user=teacher)
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    hold = make_hold(student)
    client = APIClient()
    client.force_login(teacher)

    paths = [holds_of(student), f"{holds_of(student)}/{hold.pk}"]

    assert [client.get(path).status_code for path in paths] == [403, 403]


def test_registrars_place_and_release_holds_and_viewers_see_them(registrar, viewer):
    student = make_student()
    clients = {user: APIClient() for user in (registrar, viewer)}
    for user, client in clients.items():
        client.force_login(user)

    placed = clients[registrar].post(holds_of(student), {"code": "LIBRARY"})
    path = f"{holds_of(student)}/{placed.json()['id']}"

    assert clients[viewer].get(path).json()["placed_by"] == registrar.username
    assert clients[viewer].delete(path).status_code == 403
    assert clients[viewer].post(holds_of(student), {"code": "FEES"}).status_code == 403
    assert clients[registrar].delete(path).status_code == 204


def test_a_student_and_a_term_with_a_hold_are_kept(make_client):
    client, student, term = make_client("students:write", "courses:write"), make_student(), make_term()
    make_hold(student, term_id=term.pk)

    answers = [client.delete(f"/api/v1/students/{student.pk}"), client.delete(f"/api/v1/terms/{term.pk}")]

    message = "Holds refer to this object, and they are kept as history. It cannot be deleted."
    assert [(each.status_code, each.json()["code"], each.json()["detail"]) for each in answers] == [
        (409, "has_history", message)
    ] * 2
