"""The grade sheet of a course in the admin: grades in a form or pasted, previewed, applied and undone."""

import pytest
from django.contrib.auth.models import Group, User

from courses.models import CourseStaff
from students.enrollment import complete, drop, execute
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.exports import ROSTER_HEADER
from students.models import Action, Channel, EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student

pytestmark = pytest.mark.django_db

NUMBERS = ("S-1", "S-2", "S-3", "S-4")


@pytest.fixture
def course(db):
    """A course with three seats: S-1, S-2 and S-3 are enrolled, S-4 waits."""
    course = make_course(code="MATH-101", name="Calculus I", capacity=3, waitlist_capacity=9)
    students = [make_student(student_number=number, family_name=number, given_name="") for number in NUMBERS]
    execute(
        [EnrollmentCommand(Action.ENROLL, each.pk, course.pk, on_full=OnFull.WAITLIST) for each in students],
        ActorContext(Channel.SYSTEM),
    )
    return course


def sheet_of(course):
    return f"/admin/courses/course/{course.pk}/grades/"


def row(number):
    return StudentCourse.objects.filter(student__student_number=number).latest("pk")


def field(number):
    return f"grade:{row(number).pk}"


def confirmed(desk, course, form):
    page = desk.post(sheet_of(course), form)
    answer = desk.post(sheet_of(course), {**form, "step": "confirm", "shown": page.context["fingerprint"]})
    assert answer.status_code == 302, answer.context["preview"]
    return desk.get(answer["Location"])


def changes(page):
    return [(line.student.student_number, line.after, line.detail) for line in page.context["preview"].changed]


def problems(page):
    return [tuple(error) for error in page.context["errors"]]


def grades():
    rows = StudentCourse.objects.order_by("student__student_number", "pk")
    return list(rows.values_list("student__student_number", "status", "grade"))


def test_the_sheet_lists_enrolled_and_completed_students_by_name(registrar_client, course, actor):
    complete(student_id=row("S-2").student_id, course_id=course.pk, grade="B", actor=actor)
    drop(student_id=row("S-3").student_id, course_id=course.pk, actor=actor)

    page = registrar_client.get(sheet_of(course))

    listed = [(each.student.student_number, each.status, grade) for each, grade in page.context["sheet"]]
    assert listed == [("S-1", "enrolled", ""), ("S-2", "completed", "B"), ("S-4", "enrolled", "")]
    assert [tab.name for tab in page.context["tabs"] if tab.url] == [page.context["tab"]] == ["grades"]


def test_entered_and_pasted_grades_are_previewed_and_applied_together(registrar_client, registrar, course):
    form = {field("S-1"): "A", "text": "S-2\tB+\nS-3, Ada Byron, pass\n", "reason": "exam"}

    page = registrar_client.post(sheet_of(course), form)

    assert changes(page) == [
        ("S-1", "completed", "grade A"),
        ("S-2", "completed", "grade B+"),
        ("S-3", "completed", "grade pass"),
    ]
    assert [line.student.student_number for line in page.context["preview"].promoted] == ["S-4"]
    assert {status for _number, status, _grade in grades()} == {"enrolled", "waitlisted"}

    result = confirmed(registrar_client, course, form)

    assert grades() == [
        ("S-1", "completed", "A"),
        ("S-2", "completed", "B+"),
        ("S-3", "completed", "pass"),
        ("S-4", "enrolled", ""),
    ]
    event = EnrollmentEvent.objects.filter(action="complete").latest("pk")
    assert (event.actor, event.channel, event.reason) == (registrar, "admin", "exam")
    assert (result.context["return_url"], result.context["return_title"]) == (sheet_of(course), "Back to the grades")
    assert len(result.context["undoable_ids"]) == 3


def test_a_grade_is_corrected_or_removed_and_an_unchanged_one_is_left_alone(registrar_client, course, actor):
    for number, grade in (("S-1", "A"), ("S-2", "B"), ("S-3", "C")):
        complete(student_id=row(number).student_id, course_id=course.pk, grade=grade, actor=actor)

    confirmed(registrar_client, course, {field("S-1"): "A-", field("S-2"): "", field("S-3"): " C "})

    assert [grade for _number, _status, grade in grades()] == ["A-", "", "C", ""]
    assert EnrollmentEvent.objects.filter(channel="admin").count() == 2


def test_a_grade_in_the_form_has_priority_over_the_pasted_one(registrar_client, course):
    page = registrar_client.post(sheet_of(course), {field("S-1"): "A", field("S-2"): "", "text": "S-1 F\nS-2 B"})

    assert changes(page) == [("S-1", "completed", "grade A"), ("S-2", "completed", "grade B")]


def test_each_line_that_cannot_be_used_is_listed_with_its_number_and_reason(registrar_client, course):
    make_student(student_number="S-9")
    text = f"S-1 A\nS-9 B\n\nS-2\nS-1;C\nS-3 {'x' * 33}\nS-2\tS-2"

    page = registrar_client.post(sheet_of(course), {"text": text})

    assert changes(page) == [("S-1", "completed", "grade A")]
    assert problems(page) == [
        (2, "S-9 B", "No student of this course has this number."),
        (4, "S-2", "The line has no grade."),
        (5, "S-1;C", "Duplicate of line 1."),
        (6, f"S-3 {'x' * 33}", "Ensure this value has at most 32 characters (it has 33)."),
        (7, "S-2\tS-2", "The line has no grade."),
    ]
    assert page.context["form"]["text"].value() == text


@pytest.mark.parametrize(
    "columns",
    [
        "Ayala, Shirley Ann",
        "Shirley Ann\tAyala",
        "AYALA",
        "Shirley Ann Ayala",
        "Shirley Ayala",
        "enrolled",
        "Ayala, Shirley Ann\tEnrolled",
    ],
)
def test_a_name_or_a_status_at_the_end_of_a_pasted_line_is_not_a_grade(registrar_client, course, columns):
    Student.objects.filter(student_number="S-1").update(given_name="Shirley Ann", family_name="Ayala")

    page = registrar_client.post(sheet_of(course), {"text": f"S-1\t{columns}\nS-2\t{columns}\tA"})

    assert problems(page) == [(1, f"S-1\t{columns}", "The line has no grade.")]
    assert changes(page) == [("S-2", "completed", "grade A")]


@pytest.mark.parametrize("text", ["S-1 Ayala", "S-1,Ayala", "S-1;Shirley", "S-1;Ayala;Shirley", "S-1, waitlisted"])
def test_a_name_or_a_status_is_not_a_grade_whatever_separates_the_columns(registrar_client, course, text):
    Student.objects.filter(student_number="S-1").update(given_name="Shirley", family_name="Ayala")

    page = registrar_client.post(sheet_of(course), {"text": text})

    assert problems(page) == [(1, text, "The line has no grade.")]


def test_a_grade_of_one_letter_is_a_grade_even_if_the_student_has_this_initial_as_a_name(registrar_client, course):
    Student.objects.filter(student_number="S-1").update(given_name="A", family_name="Ayala")

    page = registrar_client.post(sheet_of(course), {"text": "S-1\tA"})

    assert changes(page) == [("S-1", "completed", "grade A")]


@pytest.mark.parametrize(
    "header",
    [
        "student_number,grade",
        "Student number\tName\tGrade",
        "Number;Family name;Given name;Status;Grade",
        "student_number",
        ",".join(ROSTER_HEADER),
    ],
)
def test_a_pasted_line_of_column_names_is_skipped(registrar_client, course, header):
    page = registrar_client.post(sheet_of(course), {"text": f"{header}\nS-1\tA"})

    assert (changes(page), problems(page)) == ([("S-1", "completed", "grade A")], [])


def test_a_waitlisted_or_dropped_student_is_refused_by_the_rules(registrar_client, course, actor):
    drop(student_id=row("S-4").student_id, course_id=course.pk, actor=actor)
    late = make_student(student_number="S-5")
    execute([EnrollmentCommand(Action.ENROLL, late.pk, course.pk, on_full=OnFull.WAITLIST)], actor)

    page = registrar_client.post(sheet_of(course), {"text": "S-4 A\nS-5 B"})

    assert [(line.student.student_number, *line.reasons) for line in page.context["preview"].refused] == [
        ("S-4", "The enrollment is dropped and cannot become completed, because it has ended."),
        ("S-5", "The enrollment is waitlisted and cannot become completed. Possible: dropped."),
    ]


def test_nothing_is_applied_if_the_result_differs_from_the_preview(registrar_client, course, actor):
    form = {field("S-1"): "A"}
    page = registrar_client.post(sheet_of(course), form)
    complete(student_id=row("S-1").student_id, course_id=course.pk, grade="F", actor=actor)

    again = registrar_client.post(sheet_of(course), {**form, "step": "confirm", "shown": page.context["fingerprint"]})

    assert (again.context["is_stale"], grades()[0]) == (True, ("S-1", "completed", "F"))
    assert changes(again) == [("S-1", "completed", "grade A")]


def test_course_staff_grade_only_their_own_courses(client, course):
    teacher = User.objects.create_user("teacher", is_staff=True)
    teacher.groups.add(Group.objects.get(name="Course staff"))
    CourseStaff.objects.create(course=course, user=teacher)
    client.force_login(teacher)
    other = make_course(code="OTHER")
    execute([EnrollmentCommand(Action.ENROLL, row("S-1").student_id, other.pk)], ActorContext(Channel.SYSTEM))
    foreign = StudentCourse.objects.get(course=other)

    result = confirmed(client, course, {f"grade:{foreign.pk}": "F", field("S-2"): "B", "text": "S-3\tA"})

    assert changes(result) == [("S-2", "completed", "grade B"), ("S-3", "completed", "grade A")]
    assert result.context["undoable_ids"] == []
    foreign.refresh_from_db()
    assert foreign.status == "enrolled"
    assert client.get(sheet_of(other)).status_code == 404


def test_a_viewer_has_no_grade_sheet(viewer, client, course):
    client.force_login(viewer)

    page = client.get(f"/admin/courses/course/{course.pk}/change/")

    assert "grades" not in [tab.name for tab in page.context["tabs"]]
    assert [client.get(sheet_of(course)).status_code, client.post(sheet_of(course)).status_code] == [403, 403]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"text": "\0"},
        {"text": "x" * 30_000},
        {"reason": "a\tb"},
        {"grade:x": "A"},
        {"grade:" + "9" * 30: "A"},
        {"page": "x"},
        {f"grade:{number}": "'" * 32 for number in range(100)},
        {"step": "confirm", "shown": "x"},
        {"text": "\t\n;;\n, A\n"},
    ],
)
def test_unusual_input_changes_nothing(registrar_client, course, form):
    answer = registrar_client.post(sheet_of(course), form)

    assert answer.status_code == 200
    assert EnrollmentEvent.objects.filter(action="complete").count() == 0


@pytest.mark.parametrize("size", [3, 60])
def test_the_query_count_does_not_depend_on_the_number_of_grades(registrar_client, size, django_assert_max_num_queries):
    course = make_course()
    students = [make_student() for _ in range(size)]
    execute([EnrollmentCommand(Action.ENROLL, each.pk, course.pk) for each in students], ActorContext(Channel.SYSTEM))
    form = {"text": "\n".join(f"{each.student_number}\tA" for each in students)}

    with django_assert_max_num_queries(24):
        page = registrar_client.post(sheet_of(course), form)
    with django_assert_max_num_queries(24):
        registrar_client.post(sheet_of(course), {**form, "step": "confirm", "shown": page.context["fingerprint"]})
    with django_assert_max_num_queries(24):
        registrar_client.get(sheet_of(course))

    assert StudentCourse.objects.filter(grade="A").count() == size


def test_a_sheet_with_many_long_names_stays_small(registrar_client):
    course = make_course()
    students = [make_student(family_name="'" * 150, given_name="'" * 150) for _ in range(100)]
    execute([EnrollmentCommand(Action.ENROLL, each.pk, course.pk) for each in students], ActorContext(Channel.SYSTEM))
    names = [f"grade:{pk}" for pk in StudentCourse.objects.values_list("pk", flat=True)]

    page = registrar_client.post(sheet_of(course), dict.fromkeys(names, "A"))

    hidden = [pk for pk, _grade in page.context["hidden_rows"]]
    assert len(page.context["sheet"]) + len(hidden) == 100
    assert f'name="grade:{hidden[0]}" value="A"' in page.content.decode()
    assert len(page.content) < 100_000
