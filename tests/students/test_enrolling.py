"""Enrolling many in the admin: pasted, shown line by line, put right, confirmed."""

import pytest

from students.enrollment import enroll
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, StudentCourse
from tests.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

PAGE = "/admin/students/studentcourse/enroll-many/"


def look(desk, one, text="", side="course", **form):
    return desk.post(PAGE, {"side": side, "one": one.pk, "text": text, **form})


def confirm(desk, page, one, text="", **form):
    return look(desk, one, text, step="confirm", shown=page.context["fingerprint"], **form)


def lines(page):
    told = page.context["told"]
    return {
        name: [(line.key, line.after, line.detail, *line.why) for line in getattr(told, name)]
        for name in ("changed", "promoted", "refused", "same")
        if getattr(told, name)
    }


def problems(page):
    return [(problem.pasted.key, problem.why, problem.fixed) for problem in page.context["problems"]]


def standing():
    return list(StudentCourse.objects.order_by("pk").values_list("student__student_number", "course__code", "status"))


@pytest.fixture
def people(db):
    return [make_student(student_number=f"S-{number}") for number in range(1, 6)]


def test_each_line_is_told_and_what_is_shown_is_what_happens(registrars_desk, registrar, people, origin):
    course = make_course(code="MATH-101", capacity=2, waitlist_capacity=5)
    enroll(student_id=people[0].pk, course_id=course.pk, origin=origin)
    people[3].is_active = False
    people[3].save()
    text = "S-1\nS-2\tMary\nS-3\nS-4\nS-99\nS-2"

    page = look(registrars_desk, course, text, on_full="waitlist", reason="the dean's list")

    assert lines(page) == {
        "changed": [("S-2", "enrolled", ""), ("S-3", "waitlisted", "position 1")],
        "refused": [("S-4", "", "", "This student is not active.")],
        "same": [("S-1", "enrolled", "", "Already enrolled.")],
    }
    assert problems(page) == [
        ("S-99", "There is no student number:S-99.", True),
        ("S-2", "Duplicate of S-2, counted once.", False),
    ]
    assert len(standing()) == 1

    answer = confirm(registrars_desk, page, course, text, on_full="waitlist", reason="the dean's list")
    result = registrars_desk.get(answer["Location"])

    assert standing()[1:] == [("S-2", "MATH-101", "enrolled"), ("S-3", "MATH-101", "waitlisted")]
    event = EnrollmentEvent.objects.latest("pk")
    assert (event.actor, event.channel, event.reason) == (registrar, "admin", "the dean's list")
    shown = result.context["told"]
    assert [len(shown.changed), len(shown.refused), len(shown.same), result.context["left_out"]] == [2, 1, 1, 2]
    assert result.context["to_undo"] == [row.pk for row in StudentCourse.objects.order_by("pk")[1:]]


def test_a_student_is_enrolled_in_several_courses(registrars_desk, people):
    for code, term in (("MATH-101", "2026F"), ("MATH-101", "2027S"), ("PHYS-1", "2026F")):
        make_course(code=code, term=make_term(code=f"{code}{term}") if code != "PHYS-1" else None)
    text = "MATH-101\nMATH-101@MATH-1012026F\nPHYS-1"

    page = look(registrars_desk, people[0], text, side="student")

    assert lines(page) == {"changed": [("MATH-101@MATH-1012026F", "enrolled", ""), ("PHYS-1", "enrolled", "")]}
    assert [key for key, *_ in problems(page)] == ["MATH-101"]
    confirm(registrars_desk, page, people[0], text, side="student")
    assert standing() == [("S-1", "MATH-101", "enrolled"), ("S-1", "PHYS-1", "enrolled")]


def test_a_course_named_in_two_ways_is_taken_once(registrars_desk, people):
    make_course(code="MATH-101", term=make_term(code="2026F"))

    page = look(registrars_desk, people[0], "MATH-101, MATH-101@2026F", side="student")

    assert [key for key, *_ in lines(page)["changed"]] == ["MATH-101"]
    assert problems(page) == [("MATH-101@2026F", "Duplicate of MATH-101, counted once.", False)]


def test_lines_are_put_right_and_taken_out_in_place(registrars_desk, people):
    course = make_course()
    form = {"listed": "S-1\r\nS-2", "kept": ["S-2"], "fix:S-99": "S-3", "fix:S-98": ""}

    page = look(registrars_desk, course, "S-1\nS-2\nS-99\tGrace\nS-98", **form, picked=[people[3].pk])

    assert [key for key, *_ in lines(page)["changed"]] == ["S-2", "S-3", "S-4"]
    assert problems(page) == []
    assert page.context["form"].initial["text"] == "S-2\nS-3\tGrace\nS-4"
    assert page.context["form"].initial["picked"] == []


def test_nobody_is_enrolled_when_the_last_seat_is_taken_before_the_click(registrars_desk, people, origin):
    course = make_course(capacity=1)
    page = look(registrars_desk, course, "S-1")
    enroll(student_id=people[1].pk, course_id=course.pk, origin=origin)

    again = confirm(registrars_desk, page, course, "S-1")

    assert (again.status_code, standing()) == (200, [("S-2", course.code, "enrolled")])
    assert [str(message) for message in again.context["messages"]] == [
        "Nothing was changed, because the result would now differ from the preview."
        " Check the new preview and confirm it."
    ]
    assert lines(again)["refused"] == [("S-1", "", "", f"{course.code} has no free seat.")]


def test_a_waiver_lets_in_over_the_capacity_for_who_may_and_gives_a_reason(registrars_desk, people):
    course = make_course(code="MATH-101", capacity=0)

    without = look(registrars_desk, course, "S-1", waive="course_full")
    page = look(registrars_desk, course, "S-1", waive="course_full", reason="graduates")

    assert lines(without) == {"refused": [("S-1", "", "", "A waiver requires a reason.")]}
    assert lines(page) == {"changed": [("S-1", "enrolled", "")]}


def test_a_viewer_enrolls_nobody_and_finds_no_way_there(viewer, client, people):
    client.force_login(viewer)

    assert [client.get(PAGE).status_code, look(client, make_course(), "S-1").status_code] == [403, 403]
    assert PAGE not in client.get("/admin/students/student/").content.decode()


@pytest.mark.parametrize(
    ("form", "errors"),
    [
        ({}, {"one": ["This field is required."]}),
        ({"one": "x", "text": "S-1"}, ["one"]),
        ({"one": "9" * 30, "text": "S-1"}, ["one"]),
        ({"one": "{course}"}, {"text": ["Enter at least one."]}),
        ({"one": "{course}", "picked": ["x", "9" * 30]}, {"text": ["Enter at least one."]}),
        ({"one": "{course}", "picked": [str(2**62)]}, ["picked"]),
        ({"one": "{course}", "text": "a\0b"}, {"text": ["Null characters are not allowed."]}),
        ({"one": "{course}", "text": "\n".join(map(str, range(1001)))}, ["text"]),
        ({"one": "{course}", "text": "x" * 100_001}, ["text"]),
        ({"one": "{course}", "text": "S-1", "on_full": "x"}, ["on_full"]),
        ({"one": "{course}", "text": "S-1", "waive": "student_inactive"}, ["waive"]),
        ({"one": "{course}", "text": "S-1", "reason": "x" * 1001}, ["reason"]),
    ],
)
def test_what_cannot_be_is_told_beside_its_field(registrars_desk, people, form, errors):
    course = make_course()
    filled = {key: value.format(course=course.pk) if key == "one" else value for key, value in form.items()}

    page = registrars_desk.post(PAGE, {"side": "course", "step": "confirm", "shown": "x", **filled})

    found = page.context["form"].errors
    assert (page.status_code, standing()) == (200, [])
    assert (found if isinstance(errors, dict) else list(found)) == errors


@pytest.mark.parametrize("key", ["x" * 500, "a@b@c", "'; DROP TABLE", "\u202e", "9" * 30, "<b>"])
def test_no_key_is_too_strange(registrars_desk, people, key):
    course = make_course()

    pages = [
        look(registrars_desk, one, f"{key}\tx", side=side) for one, side in ((course, "course"), (people[0], "student"))
    ]

    assert [page.status_code for page in pages] == [200, 200]
    assert standing() == []


def test_what_is_over_the_limit_is_told_as_such(registrars_desk, people):
    page = look(registrars_desk, make_course(), "\n".join(f"S-{number}" for number in range(1001)))

    assert page.context["form"].errors == {"text": ["At most 1000 objects can be deleted at a time. Select fewer."]}


@pytest.mark.parametrize("side", ["course", "student"])
@pytest.mark.parametrize("size", [2, 60])
def test_the_page_costs_the_same_however_many_lines_there_are(
    registrars_desk, origin, side, size, django_assert_max_num_queries
):
    students = [make_student() for _ in range(size)]
    courses = [make_course(capacity=1, waitlist_capacity=99) for _ in range(size)]
    one = courses[0] if side == "course" else students[0]
    for row in (students[1], students[-1]):
        enroll(student_id=row.pk, course_id=courses[0].pk, on_full=OnFull.WAITLIST, origin=origin)
    keys = [row.student_number for row in students] if side == "course" else [row.code for row in courses]
    text = "\n".join(f"{key}\tsomething" for key in [*keys, "unknown"])

    with django_assert_max_num_queries(24):
        page = look(registrars_desk, one, text, side=side, on_full="waitlist")
    with django_assert_max_num_queries(24):
        answer = confirm(registrars_desk, page, one, text, side=side, on_full="waitlist")
    with django_assert_max_num_queries(24):
        result = registrars_desk.get(answer["Location"])

    assert len(result.context["told"].changed) >= size - 2
