"""Bulk enrollment in the admin: pasted lines are previewed, corrected and confirmed."""

import pytest

from students.enrollment import enroll
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

PAGE = "/admin/students/studentcourse/enroll-many/"


def preview(desk, one, text="", side="course", **form):
    return desk.post(PAGE, {"side": side, "one": one.pk, "text": text, **form})


def confirm(desk, page, one, text="", **form):
    return preview(desk, one, text, step="confirm", shown=page.context["fingerprint"], **form)


def lines(page):
    told = page.context["preview"]
    return {
        name: [(line.key, line.after, line.detail, *line.reasons) for line in getattr(told, name)]
        for name in ("changed", "promoted", "refused", "unchanged")
        if getattr(told, name)
    }


def problems(page):
    return [(error.number, error.key, error.message) for error in page.context["input_errors"]]


def duplicates(page):
    return [tuple(each) for each in page.context["duplicates"]]


def all_enrollments():
    return list(StudentCourse.objects.order_by("pk").values_list("student__student_number", "course__code", "status"))


@pytest.fixture
def people(db):
    return [make_student(student_number=f"S-{number}") for number in range(1, 6)]


def test_each_pasted_line_is_previewed_and_the_result_matches_the_preview(registrar_client, registrar, people, actor):
    course = make_course(code="MATH-101", capacity=2, waitlist_capacity=5)
    enroll(student_id=people[0].pk, course_id=course.pk, actor=actor)
    people[3].is_active = False
    people[3].save()
    text = "S-1\nS-2\tMary\nS-3\nS-4\nS-99\nS-2"

    page = preview(registrar_client, course, text, on_full="waitlist", reason="the dean's list")

    assert lines(page) == {
        "changed": [("S-2", "enrolled", ""), ("S-3", "waitlisted", "at 1")],
        "refused": [("S-4", "", "", "This student is not active.")],
        "unchanged": [("S-1", "enrolled", "", "Already enrolled.")],
    }
    assert problems(page) == [(5, "S-99", "There is no student number:S-99.")]
    assert duplicates(page) == [(6, "S-2", 2)]
    assert len(all_enrollments()) == 1

    answer = confirm(registrar_client, page, course, text, on_full="waitlist", reason="the dean's list")
    result = registrar_client.get(answer["Location"])

    assert all_enrollments()[1:] == [("S-2", "MATH-101", "enrolled"), ("S-3", "MATH-101", "waitlisted")]
    event = EnrollmentEvent.objects.latest("pk")
    assert (event.actor, event.channel, event.reason) == (registrar, "admin", "the dean's list")
    shown = result.context["preview"]
    assert [len(shown.changed), len(shown.refused), len(shown.unchanged)] == [2, 1, 1]
    assert (result.context["unmatched_count"], result.context["duplicate_count"]) == (1, 1)
    assert result.context["return_title"] == "Back to MATH-101 A course"
    assert result.context["undoable_ids"] == [row.pk for row in StudentCourse.objects.order_by("pk")[1:]]


def test_a_student_is_enrolled_in_several_courses(registrar_client, people):
    for code, term in (("MATH-101", "2026F"), ("MATH-101", "2027S"), ("PHYS-1", "2026F")):
        make_course(code=code, term=make_term(code=f"{code}{term}") if code != "PHYS-1" else None)
    text = "MATH-101\nMATH-101@MATH-1012026F\nPHYS-1"

    page = preview(registrar_client, people[0], text, side="student")

    assert lines(page) == {"changed": [("MATH-101@MATH-1012026F", "enrolled", ""), ("PHYS-1", "enrolled", "")]}
    assert [(number, key) for number, key, _message in problems(page)] == [(1, "MATH-101")]
    confirm(registrar_client, page, people[0], text, side="student")
    assert all_enrollments() == [("S-1", "MATH-101", "enrolled"), ("S-1", "PHYS-1", "enrolled")]


def test_a_course_identified_in_two_ways_is_enrolled_once(registrar_client, people):
    make_course(code="MATH-101", term=make_term(code="2026F"))

    page = preview(registrar_client, people[0], "MATH-101, MATH-101@2026F", side="student")

    assert [key for key, *_ in lines(page)["changed"]] == ["MATH-101@2026F"]
    assert (problems(page), duplicates(page)) == ([], [])
    assert duplicates(preview(registrar_client, people[0], "MATH-101\nMATH-101@2026F", side="student")) == [
        (2, "MATH-101@2026F", 1)
    ]


def test_lines_are_corrected_and_left_out_on_the_page_and_the_other_text_stays(registrar_client, people):
    course = make_course()
    form = {"listed": "S-1\r\nS-2", "kept": ["S-2"], "fix:S-99": "S-3", "fix:S-98": ""}

    page = preview(registrar_client, course, "S-1\nS-2  (late)\nS-99\tGrace\nS-98", **form, picked=[people[3].pk])

    assert [key for key, *_ in lines(page)["changed"]] == ["S-4", "S-2", "S-3"]
    assert [line.key for line in page.context["preview"].left_out] == ["S-1"]
    assert problems(page) == []
    assert page.context["form"].initial["text"] == "S-1\nS-2  (late)\nS-3\tGrace\n"
    assert page.context["form"].initial["picked"] == [people[3].pk]
    assert page.context["listed_keys"].splitlines() == ["S-1", "S-4", "S-2", "S-3"]


@pytest.fixture
def ada(db):
    return make_student(student_number="S-77", given_name="Ada", family_name="Byron", email="Ada.Byron@x.example")


@pytest.mark.parametrize(
    "text",
    [
        "ada.byron@X.EXAMPLE",
        "Ada Byron <Ada.Byron@x.example>",
        "Byron\tAda\tada.byron@x.example",
        "Ada Byron",
        "ada byron",
        "Byron, Ada",
        "Byron\tAda",
        "Ada Byron S-77",
        "S-77, Byron, Ada",
        "ada.byron@x.example\tS-77\tAda Byron",
    ],
)
def test_a_student_is_found_by_email_address_or_name_or_beside_them(registrar_client, ada, text):
    page = preview(registrar_client, make_course(), text)

    assert [key for key, *_ in lines(page)["changed"]] == ["S-77"]
    assert (problems(page), duplicates(page)) == ([], [])


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("nobody@x.example", "nobody@x.example", "There is no student with the email address nobody@x.example."),
        ("Ada Lovelace", "Ada Lovelace", "There is no student named Ada Lovelace."),
        ("Grace Hopper", "Grace Hopper", "Several students are named Grace Hopper: S-78, S-79. Enter the number."),
        ("S-78\tada.byron@x.example", "S-78", "S-78, ada.byron@x.example are different students."),
    ],
)
def test_a_line_that_stands_for_no_student_or_several_is_listed_with_the_reason(
    registrar_client, ada, text, key, message
):
    for number in ("S-78", "S-79"):
        make_student(student_number=number, given_name="Grace", family_name="Hopper")

    assert problems(preview(registrar_client, make_course(), f"S-77\n{text}")) == [(2, key, message)]


def test_every_line_that_cannot_be_matched_is_listed_at_least_by_its_number(registrar_client, people):
    text = "\n".join(f"unknown-{number:04}" for number in range(1, 901))

    page = preview(registrar_client, make_course(), f"{text}\nS-1")

    listed = len(problems(page))
    assert page.context["other_lines"] == f"{listed + 1}–900"
    assert listed >= 60
    assert len(page.content) < 100_000


def test_a_waitlisted_student_is_called_waitlisted(registrar_client, people, actor):
    course = make_course(capacity=0, waitlist_capacity=5)
    enroll(student_id=people[0].pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)

    page = preview(registrar_client, course, "S-1")

    assert lines(page) == {"unchanged": [("S-1", "waitlisted", "", "Already on the waitlist.")]}


def test_a_picked_student_who_is_also_pasted_is_a_duplicate(registrar_client, people):
    page = preview(registrar_client, make_course(), "S-2\nS-1", picked=[people[0].pk])

    assert [key for key, *_ in lines(page)["changed"]] == ["S-1", "S-2"]
    assert duplicates(page) == [(2, "S-1", 0)]


def test_nobody_is_enrolled_if_the_last_seat_is_taken_before_the_confirmation(registrar_client, people, actor):
    course = make_course(capacity=1)
    page = preview(registrar_client, course, "S-1")
    enroll(student_id=people[1].pk, course_id=course.pk, actor=actor)

    again = confirm(registrar_client, page, course, "S-1")

    assert (again.status_code, all_enrollments()) == (200, [("S-2", course.code, "enrolled")])
    outcome = again.content.decode().partition('<div id="outcome">')[2]
    assert outcome.count("Nothing was changed, because the result would now differ from the preview.") == 1
    assert lines(again)["refused"] == [("S-1", "", "", f"{course.code} has no free seat.")]


@pytest.mark.parametrize(
    ("text", "button"),
    [
        ("S-1\nS-2", "Enroll 2"),
        ("S-1\nS-98", "Enroll 1, leave out 1 line"),
        ("S-1\nS-97, S-98\nS-99", "Enroll 1, leave out 2 lines"),
    ],
)
def test_the_button_says_how_many_lines_are_left_out(registrar_client, people, text, button):
    assert preview(registrar_client, make_course(), text).context["button"] == button


def test_a_waiver_with_a_reason_enrolls_above_the_capacity(registrar_client, people):
    course = make_course(code="MATH-101", capacity=0)

    without = preview(registrar_client, course, "S-1", waive="course_full")
    page = preview(registrar_client, course, "S-1", waive="course_full", reason="graduates")

    assert lines(without) == {"refused": [("S-1", "", "", "A waiver requires a reason.")]}
    assert lines(page) == {"changed": [("S-1", "enrolled", "")]}


def test_a_viewer_cannot_enroll_and_sees_no_link_to_the_page(viewer, client, people):
    client.force_login(viewer)

    assert [client.get(PAGE).status_code, preview(client, make_course(), "S-1").status_code] == [403, 403]
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
def test_invalid_input_of_the_bulk_enroll_form_is_a_field_error(registrar_client, people, form, errors):
    course = make_course()
    filled = {key: value.format(course=course.pk) if key == "one" else value for key, value in form.items()}

    page = registrar_client.post(PAGE, {"side": "course", "step": "confirm", "shown": "x", **filled})

    found = page.context["form"].errors
    assert (page.status_code, all_enrollments()) == (200, [])
    assert (found if isinstance(errors, dict) else list(found)) == errors


@pytest.mark.parametrize("key", ["x" * 500, "a@b@c", "'; DROP TABLE", "\u202e", "9" * 30, "<b>"])
def test_unusual_keys_cause_no_server_error(registrar_client, people, key):
    course = make_course()

    pages = [
        preview(registrar_client, one, f"{key}\tx", side=side)
        for one, side in ((course, "course"), (people[0], "student"))
    ]

    assert [page.status_code for page in pages] == [200, 200]
    assert all_enrollments() == []


def test_more_lines_than_the_limit_are_a_field_error(registrar_client, people):
    page = preview(registrar_client, make_course(), "\n".join(f"S-{number}" for number in range(1001)))

    assert page.context["form"].errors == {"text": ["At most 1000 rows can be changed at a time. Select fewer."]}


@pytest.mark.parametrize("side", ["course", "student"])
@pytest.mark.parametrize("size", [2, 60])
def test_the_query_count_does_not_depend_on_the_number_of_lines(
    registrar_client, actor, side, size, django_assert_max_num_queries
):
    students = [make_student() for _ in range(size)]
    courses = [make_course(capacity=1, waitlist_capacity=99) for _ in range(size)]
    one = courses[0] if side == "course" else students[0]
    for row in (students[1], students[-1]):
        enroll(student_id=row.pk, course_id=courses[0].pk, on_full=OnFull.WAITLIST, actor=actor)
    keys = [row.student_number for row in students] if side == "course" else [row.code for row in courses]
    text = "\n".join(f"{key}\tsomething" for key in [*keys, "unknown"])

    with django_assert_max_num_queries(24):
        page = preview(registrar_client, one, text, side=side, on_full="waitlist")
    with django_assert_max_num_queries(24):
        answer = confirm(registrar_client, page, one, text, side=side, on_full="waitlist")
    with django_assert_max_num_queries(24):
        result = registrar_client.get(answer["Location"])

    assert len(result.context["preview"].changed) >= size - 2
