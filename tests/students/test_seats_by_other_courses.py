"""A change of one course, term or grade gives waiting students the free seats of other courses, at once."""

from datetime import date
from typing import Any

import pytest
from django.test import Client

from bulk.jobs.import_actions import start_undo
from bulk.models import Import, ImportChannel
from courses.meetings import parse_meetings
from courses.models import Course, Grade
from students.enrollment import complete, drop, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel, EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_grades, make_student, make_term
from tests.support.imports import ENROLLMENTS, imported, worked_on

pytestmark = pytest.mark.django_db

REGISTRAR = ActorContext(Channel.SYSTEM, may_waive=True)
SEAT = {"capacity": 1, "waitlist_capacity": None}


def waive(student: Student, course: Course, *codes: str) -> None:
    enroll(student_id=student.pk, course_id=course.pk, actor=REGISTRAR, waived_codes=codes, reason="because")


def wait(student: Student, course: Course) -> Student:
    """Let the student wait for the only seat of a course; return the student who has it."""
    holder = make_student()
    waive(holder, course, "corequisite_missing")
    enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=REGISTRAR)
    return holder


def leave(student: Student, course: Course) -> None:
    drop(student_id=student.pk, course_id=course.pk, actor=REGISTRAR)


def pass_over(student: Student, course: Course, holder: Student, code: str) -> None:
    """Free the seat, and check that the rule with this code keeps it from the student."""
    leave(holder, course)
    assert EnrollmentEvent.objects.get(enrollment__course=course, action="pass_over").refusals == [code]


def statuses(student: Student) -> dict[str, str]:
    rows = StudentCourse.objects.filter(student=student).select_related("course__term").order_by("pk")
    return {row.course.code + row.course.section: row.status for row in rows}


def row_of(student: Student, course: Course, values: str) -> str:
    term = course.term.code if course.term else ""
    return f"{ENROLLMENTS}{student.student_number},{course.code},{term},{values},\n"


def undone(job: Import) -> Import:
    return worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))


# The undo of an import


def test_the_undo_of_an_import_gives_a_seat_for_which_the_student_has_credits_again():
    term, student = make_term(max_credits=3), make_student()
    taken, wanted = (make_course(code=code, term=term, credits=3, **SEAT) for code in ("UX", "UY"))
    holder = wait(student, wanted)
    job = imported(row_of(student, taken, "enrolled,"))
    pass_over(student, wanted, holder, "too_many_credits")

    assert undone(job).counts == {"reversed": 1}

    assert statuses(student) == {"UX": "dropped", "UY": "enrolled"}


def test_the_undo_of_an_import_gives_a_seat_in_a_course_whose_corequisite_it_restores():
    term, student = make_term(), make_student()
    lecture = make_course(code="YL", term=term)
    lab = make_course(code="YP", term=term, corequisites=["YL"], **SEAT)
    waive(student, lecture)
    holder = wait(student, lab)
    job = imported(row_of(student, lecture, "dropped,"))
    pass_over(student, lab, holder, "corequisite_missing")

    undone(job)

    assert statuses(student) == {"YL": "enrolled", "YP": "enrolled"}


# Grades


@pytest.fixture
def failed():
    """A student who has failed a lecture in an earlier term, and was passed over for its laboratory."""
    make_grades()
    student, lecture = make_student(), make_course(code="LECTURE")
    lab = make_course(code="LAB", term=make_term(), corequisites=["LECTURE"], **SEAT)
    waive(student, lecture)
    complete(student_id=student.pk, course_id=lecture.pk, grade="A", actor=REGISTRAR)
    holder = wait(student, lab)
    job = imported(row_of(student, lecture, "completed,F"))
    pass_over(student, lab, holder, "corequisite_missing")
    return student, job


def test_a_grade_that_passes_now_gives_a_seat_in_a_course_with_corequisites(failed, api):
    grade = Grade.objects.get(code="F")

    assert api.patch(f"/api/v1/grades/{grade.pk}", {"passes": True}).status_code == 200

    assert statuses(failed[0]) == {"LECTURE": "completed", "LAB": "enrolled"}


def test_a_file_of_grades_gives_a_seat_in_a_course_with_corequisites(failed):
    imported("code,passes\nF,true\n", kind="grades")

    assert statuses(failed[0]) == {"LECTURE": "completed", "LAB": "enrolled"}


def test_the_undo_of_an_import_of_grades_gives_a_seat_in_a_course_with_corequisites(failed):
    student, job = failed

    undone(job)

    assert statuses(student) == {"LECTURE": "completed", "LAB": "enrolled"}


# Terms


@pytest.mark.parametrize("entry_point", ["PATCH", "file"])
def test_other_dates_of_a_term_give_a_seat_in_a_course_of_another_term(entry_point, api):
    early = make_term(code="D1", starts_on=date(2026, 1, 1), ends_on=date(2099, 12, 31))
    late = make_term(code="D2", starts_on=date(2030, 1, 1), ends_on=date(2099, 12, 31))
    meetings, student = parse_meetings("mon 10:00-11:00"), make_student()
    taken = make_course(code="C", term=early, meetings=meetings)
    wanted = make_course(code="W", term=late, meetings=meetings, **SEAT)
    holder = wait(student, wanted)
    waive(student, taken)
    pass_over(student, wanted, holder, "time_conflict")

    if entry_point == "PATCH":
        assert api.patch(f"/api/v1/terms/{early.pk}", {"ends_on": "2029-12-31"}).status_code == 200
    else:
        imported(f"code,name,starts_on,ends_on\nD1,{early.name},2026-01-01,2029-12-31\n", kind="terms")

    assert statuses(student) == {"C": "enrolled", "W": "enrolled"}


# Courses


def form_of(course: Course, **changes: Any) -> dict[str, Any]:
    """Return the values of the form of a course in the admin."""
    values = {name: getattr(course, name) for name in ("code", "section", "name", "level", "capacity", "credits")}
    times = {f"enrollment_{name}_at_{part}": "" for name in ("opens", "closes") for part in (0, 1)}
    filled = {name: value for name, value in values.items() if value is not None}
    return {"term": course.term_id or "", "is_active": "on", **filled, **times, **changes}


def save(desk: Client, course: Course, path: str = "change/", **changes: Any) -> None:
    page = desk.post(f"/admin/courses/course/{course.pk}/{path}", form_of(course, **changes))
    assert page.status_code == 302


@pytest.mark.parametrize("entry_point", ["PATCH", "form"])
@pytest.mark.parametrize("change", ["code", "term"])
def test_a_section_that_is_none_any_more_gives_a_seat_in_the_other_one(entry_point, change, api, registrar_client):
    term, student = make_term(), make_student()
    taken = make_course(code="XA", term=term)
    wanted = make_course(code="XA", section="B", term=term, **SEAT)
    holder = wait(student, wanted)
    waive(student, taken, "other_section")
    pass_over(student, wanted, holder, "other_section")
    other = make_term()

    if entry_point == "PATCH":
        value = "XZ" if change == "code" else other.code
        assert api.patch(f"/api/v1/courses/{taken.pk}", {change: value}).status_code == 200
    else:
        changes: dict[str, Any] = {"code": "XZ"} if change == "code" else {"term": other.pk}
        save(registrar_client, taken, **changes)

    assert statuses(student) == {"XAB": "enrolled", "XZ" if change == "code" else "XA": "enrolled"}


@pytest.mark.parametrize("status", ["enrolled", "completed"])
@pytest.mark.parametrize("entry_point", ["PATCH", "form", "form to restore", "file"])
def test_fewer_credits_of_a_course_give_a_seat_in_another_one(entry_point, status, api, registrar_client):
    term, student = make_term(max_credits=6), make_student()
    taken = make_course(code="T", term=term, credits=3)
    taken.credits = 4
    taken.save()
    wanted = make_course(code="W", term=term, credits=3, **SEAT)
    holder = wait(student, wanted)
    waive(student, taken)
    if status == "completed":
        complete(student_id=student.pk, course_id=taken.pk, actor=REGISTRAR)
    pass_over(student, wanted, holder, "too_many_credits")

    if entry_point == "PATCH":
        assert api.patch(f"/api/v1/courses/{taken.pk}", {"credits": 3}).status_code == 200
    elif entry_point == "file":
        text = f"course_code,term,name,level,credits\nT,{term.code},{taken.name},{taken.level},3\n"
        imported(text, kind="courses")
    else:
        version = taken.history.earliest().pk
        save(registrar_client, taken, f"history/{version}/" if "restore" in entry_point else "change/", credits=3)

    assert statuses(student) == {"T": status, "W": "enrolled"}
