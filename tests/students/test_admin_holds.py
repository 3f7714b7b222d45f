"""The admin of holds: place and release them, one or many, with a preview of the seats that become taken."""

import pytest

from students.enrollment import drop, enroll
from students.enrollment.commands import OnFull
from students.holds import release_holds
from students.models import Hold, Status, StudentCourse
from tests.support.factories import make_course, make_hold, make_student, make_term

pytestmark = pytest.mark.django_db

LIST, STUDENTS = "/admin/students/hold/", "/admin/students/student/"


@pytest.fixture
def desk(registrar_client):
    return registrar_client


def messages_of(answer):
    return [str(message) for message in answer.context["messages"]]


def test_a_registrar_places_a_hold_and_sees_it_on_the_page_of_the_student(desk, registrar):
    student, term = make_student(), make_term(code="2026F")
    form = {"student": student.pk, "code": "LIBRARY", "reason": "two books", "term": term.pk, "ends_on": "2099-12-31"}

    answer = desk.post(f"{LIST}add/", form, follow=True)

    hold = Hold.objects.get()
    assert (hold.student, hold.reason, hold.term, hold.placed_by) == (student, "two books", term, registrar)
    assert [row.pk for row in answer.context["cl"].result_list] == [hold.pk]
    page = desk.get(f"{STUDENTS}{student.pk}/change/").content.decode()
    assert f'href="{LIST}{hold.pk}/change/"' in page
    assert "LIBRARY 2026F" in page
    assert "two books" in desk.get(f"{LIST}{hold.pk}/change/").content.decode()


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({"code": ""}, "code", "This field is required."),
        ({"code": "LIBRARY"}, "code", "The student has this hold already."),
        ({"starts_on": "2026-09-02", "ends_on": "2026-09-01"}, "ends_on", "A hold cannot end before it starts."),
        ({"starts_on": "0001-01-01"}, "starts_on", "Use a year from 1900 to 9000."),
    ],
)
def test_an_invalid_hold_is_refused_at_its_field(desk, values, field, message):
    student = make_student()
    make_hold(student, "LIBRARY")

    answer = desk.post(f"{LIST}add/", {"student": student.pk, "code": "FEES", **values})

    assert answer.context["adminform"].form.errors == {field: [message]}
    assert Hold.objects.count() == 1


def test_a_hold_cannot_be_changed_or_deleted(desk):
    hold = make_hold(make_student())

    changed = desk.post(f"{LIST}{hold.pk}/change/", {"code": "OTHER"})
    deleted = desk.post(f"{LIST}{hold.pk}/delete/", {"post": "yes"})

    assert (changed.status_code, deleted.status_code) == (403, 403)
    assert Hold.objects.get().code == "LIBRARY"


def test_a_hold_is_placed_on_many_students(desk):
    students = [make_student() for _ in range(3)]
    make_hold(students[0], "LIBRARY", reason="another")
    make_hold(students[1], "LIBRARY", reason="overdue")
    ids = [student.pk for student in students]

    page = desk.post(STUDENTS, {"action": "place_hold", "_selected_action": ids})
    form = {"action": "place_hold", "chosen": ",".join(map(str, ids)), "step": "confirm"}
    faulty = desk.post(STUDENTS, form | {"code": "a/b", "starts_on": "2026-09-02", "ends_on": "2026-09-01"})
    placed = desk.post(STUDENTS, form | {"code": "LIBRARY", "reason": "overdue"}, follow=True)

    assert list(page.context["form"].fields) == ["code", "reason", "term", "starts_on", "ends_on"]
    assert sorted(faulty.context["form"].errors) == ["code", "ends_on"]
    refusal = "The student has the hold LIBRARY already. Release it first."
    assert messages_of(placed) == ["1 hold placed.", f"{students[0]}: {refusal}"]
    assert set(Hold.objects.open().values_list("student", "reason")) == {
        (students[0].pk, "another"),
        (students[1].pk, "overdue"),
        (students[2].pk, "overdue"),
    }


def waitlisted(actor):
    course, holder, waiter = make_course(capacity=1, waitlist_capacity=1), make_student(), make_student()
    for student in (holder, waiter):
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
    hold = make_hold(waiter)
    drop(student_id=holder.pk, course_id=course.pk, actor=actor)
    return StudentCourse.objects.get(student=waiter), hold


def test_holds_are_released_after_a_preview_of_the_seats(desk, actor):
    enrollment, hold = waitlisted(actor)
    released = make_hold(make_student())
    release_holds([released.pk], actor=actor)
    ids = [hold.pk, released.pk]

    page = desk.post(LIST, {"action": "release", "_selected_action": ids})

    assert (page.context["changed"], page.context["unchanged"]) == ([hold], [released])
    assert [line.enrollment_id for line in page.context["preview"].promoted] == [enrollment.pk]
    assert Hold.objects.open().get() == hold
    form = {"action": "release", "chosen": ",".join(map(str, ids)), "step": "confirm"}
    done = desk.post(LIST, form | {"shown": page.context["fingerprint"]}, follow=True)
    enrollment.refresh_from_db()
    assert enrollment.status == Status.ENROLLED
    assert "1 hold released." in messages_of(done)


def test_a_release_that_differs_from_its_preview_does_nothing(desk, actor):
    enrollment, hold = waitlisted(actor)
    page = desk.post(LIST, {"action": "release", "_selected_action": [hold.pk]})
    other = make_hold(enrollment.student, "FEES")

    form = {"action": "release", "chosen": str(hold.pk), "step": "confirm", "shown": page.context["fingerprint"]}
    again = desk.post(LIST, form)

    assert (again.status_code, again.context["is_stale"]) == (200, True)
    assert set(Hold.objects.open()) == {hold, other}


def test_viewers_see_holds_and_neither_place_nor_release_them(viewer, client):
    client.force_login(viewer)
    student = make_student()
    hold = make_hold(student)

    page = client.get(f"{LIST}{hold.pk}/change/")
    client.post(LIST, {"action": "release", "_selected_action": [hold.pk], "step": "confirm", "shown": "x"})
    client.post(STUDENTS, {"action": "place_hold", "_selected_action": [student.pk], "step": "confirm", "code": "FEES"})

    assert page.status_code == 200
    assert list(Hold.objects.open()) == [hold]


def test_the_list_has_open_holds_by_default_and_filters_students_on_hold(desk, actor):
    student, other = make_student(), make_student()
    hold, released = make_hold(student, "LIBRARY"), make_hold(other, "FEES")
    release_holds([released.pk], actor=actor)

    lists = [
        [row.pk for row in desk.get(path).context["cl"].result_list]
        for path in (
            LIST,
            f"{LIST}?state=released",
            f"{LIST}?q={student.student_number}",
            f"{STUDENTS}?on_hold=yes",
        )
    ]

    assert lists == [[hold.pk], [released.pk], [hold.pk], [student.pk]]
