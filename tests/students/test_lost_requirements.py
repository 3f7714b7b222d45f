"""The previews of a change name the enrollments that require what the student no longer has."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.api_client_creation import create_api_client
from school.models import ApiClient
from students.enrollment import complete, enroll, enroll_many, preview_commands
from students.enrollment.commands import EnrollmentCommand
from students.models import Action, StudentCourse
from tests.security.test_access import bearer
from tests.students.test_grades import notes_of
from tests.support.factories import make_course, make_grades, make_student, make_term
from tests.support.imports import imported

pytestmark = pytest.mark.django_db

NOTE = "1 other enrollment requires a course that the student leaves, and is not changed: "


@pytest.fixture
def term():
    return make_term(code="2026F")


@pytest.fixture
def lecture(term):
    return make_course(code="LECTURE", term=term, section="A")


@pytest.fixture
def lab(term, lecture):
    return make_course(code="LAB", term=term, corequisites=["LECTURE"])


@pytest.fixture
def student(lecture, lab, actor):
    """A student in the lecture, and in the lab that requires it."""
    student = make_student(student_number="S-1")
    enroll_many([(student.pk, lecture.pk), (student.pk, lab.pk)], actor=actor)
    return student


def row_of(student, course):
    return StudentCourse.objects.get(student=student, course=course)


def losing(actor, *commands, together=False):
    preview = preview_commands([EnrollmentCommand(*command) for command in commands], actor, together=together)
    return preview.losing_corequisites


@pytest.mark.parametrize(("grade", "is_lost"), [("C", False), ("", False), ("F", True)])
def test_a_corequisite_that_was_passed_before_is_not_lost(grade, is_lost, lecture, lab, student, actor):
    make_grades()
    earlier = make_course(code="LECTURE", term=make_term(code="2025F"))
    enroll(student_id=student.pk, course_id=earlier.pk, actor=actor)
    complete(student_id=student.pk, course_id=earlier.pk, grade=grade, actor=actor)

    found = losing(actor, (Action.DROP, student.pk, lecture.pk))

    assert found == ({row_of(student, lab).pk} if is_lost else set())


def test_a_corequisite_that_is_taken_in_another_section_is_not_lost(lecture, lab, student, term, actor):
    other, elsewhere = make_course(code="LECTURE", term=term, section="B"), make_course(code="OTHER", term=term)
    swaps = [
        EnrollmentCommand(Action.ENROLL, student.pk, each.pk, instead_of=lecture.pk) for each in (other, elsewhere)
    ]

    found = [preview_commands([each], actor).losing_corequisites for each in swaps]

    assert found == [frozenset(), {row_of(student, lab).pk}]


def test_courses_that_the_student_leaves_too_or_takes_again_are_not_counted(lecture, lab, student, actor):
    leave, leave_lab, join = (
        (Action.DROP, student.pk, lecture.pk),
        (Action.DROP, student.pk, lab.pk),
        (Action.ENROLL, student.pk, lecture.pk),
    )

    found = [losing(actor, *commands) for commands in ([leave], [leave, leave_lab], [leave, join])]

    assert found == [{row_of(student, lab).pk}, set(), set()]


@pytest.mark.parametrize("still_taken", [False, True])
def test_a_worse_grade_counts_the_enrollments_that_stood_on_it_as_a_corequisite(still_taken, api, term, actor):
    make_grades()
    student, passed = make_student(), make_course(code="LECTURE", term=make_term(code="2025F"))
    enroll(student_id=student.pk, course_id=passed.pk, actor=actor)
    complete(student_id=student.pk, course_id=passed.pk, grade="B", actor=actor)
    courses = [make_course(code="LAB", term=term, corequisites=["LECTURE"])]
    courses += [make_course(code="LECTURE", term=term)] * still_taken
    enroll_many([(student.pk, course.pk) for course in courses], actor=actor)
    path = f"/api/v1/students/{student.pk}/courses/{passed.pk}"

    answers = [
        api.patch(path, {"status": "completed", "grade": grade, "dry_run": True}).json()["losing_prerequisites"]
        for grade in ("F", "C")
    ]

    assert answers == [0 if still_taken else 1, 0]


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize("kind", ["drop", "enroll"])
def test_the_preview_of_a_batch_counts_what_requires_a_left_course(kind, atomic, lecture, student, api):
    item = {"action": kind, "student_id": student.pk, "course_id": lecture.pk}
    if kind == "enroll":
        item |= {"course_id": make_course().pk, "instead_of": lecture.pk}

    body = {"items": [item], "atomic": atomic}
    preview = api.post("/api/v1/enrollments/batch", {**body, "dry_run": True}).json()
    answer = api.post("/api/v1/enrollments/batch", body).json()

    assert (preview["losing_corequisites"], preview["losing_prerequisites"]) == (1, 0)
    assert answer.keys() == {"outcomes"}


def test_a_limited_client_gets_the_count_of_visible_enrollments(lecture, student):
    scopes = ["enrollments:write"]
    keys = create_api_client("limited", " ".join(scopes), courses=["LECTURE@2026F@A"])
    limited = bearer(ApiClient.objects.get(client_id=keys.client_id), scopes)
    item = {"action": "drop", "student_id": student.pk, "course_id": lecture.pk}

    answer = limited.post("/api/v1/enrollments/batch", {"items": [item], "dry_run": True})

    assert (answer.status_code, answer.json()["losing_corequisites"]) == (200, 0)


@pytest.mark.parametrize("row", ["S-1,LECTURE,2026F,A,dropped,", "S-1,OTHER,2026F,,,LECTURE@2026F@A"])
@pytest.mark.parametrize("review", ["dry_run", "needed"])
def test_an_import_says_how_many_enrollments_require_a_left_course(review, row, term, student):
    make_course(code="OTHER", term=term)

    job = imported(f"student_number,course_code,term,section,status,instead_of\n{row}\n", review=review)

    assert notes_of(job) == ["Other enrollments that require the course: 1."]


def test_the_panel_to_enroll_names_what_requires_the_course_of_a_swap(lecture, student, registrar_client):
    form = {"course": make_course().pk, "instead_of": lecture.pk, "reason": "", "on_full": "", "ask": "1"}

    page = registrar_client.post(f"/admin/students/student/{student.pk}/enroll/", {**form, "fragment": "1"})

    [note] = page.context["enroll_result"]["notes"]
    assert (note.startswith(NOTE), "LAB@2026F" in note) == (True, True)
    assert NOTE in page.content.decode()


def test_the_preview_of_a_cancellation_counts_and_names_what_requires_the_course(
    lecture, lab, student, api, registrar_client
):
    body = {"reason": "Too few students"}
    path = f"/api/v1/courses/{lecture.pk}/cancel"

    page = registrar_client.get(f"/admin/courses/course/{lecture.pk}/cancel/")
    answers = [api.post(path, {**body, "dry_run": True}).json(), api.post(path, body).json()]

    [note] = page.context["notes"]
    assert (note.startswith(NOTE), "LAB@2026F" in note, NOTE in page.content.decode()) == (True, True, True)
    assert [each["losing_corequisites"] for each in answers] == [1, 1]
    assert api.post(f"{path}/undo", {}).json()["losing_corequisites"] == 0


@pytest.mark.parametrize("size", [1, 20])
def test_a_preview_asks_once_for_courses_with_corequisites_and_only_if_a_student_leaves(size, actor):
    course, other = make_course(), make_course()
    students = [make_student() for _ in range(size)]
    enroll_many([(each.pk, course.pk) for each in students], actor=actor)

    counts = []
    for action, pk in ((Action.DROP, course.pk), (Action.ENROLL, other.pk)):
        with CaptureQueriesContext(connection) as queries:
            preview_commands([EnrollmentCommand(action, each.pk, pk) for each in students], actor)
        with_courses = [query["sql"] for query in queries if '"courses_course"."name"' in query["sql"]]
        counts.append(sum('NOT ("courses_course"."corequisites"' in sql for sql in with_courses))

    assert counts == [1, 0]
