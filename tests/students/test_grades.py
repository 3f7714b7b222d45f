"""The table of grades: passing grades, minimum grades, alternatives, promotions and previews."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bulk.importers.import_parts import parts_of
from bulk.jobs.import_actions import start_undo
from bulk.models import ImportChannel
from bulk.reports import Report
from courses.api_client_creation import create_api_client
from courses.models import Grade
from school.models import ApiClient
from students.enrollment import complete, complete_many, enroll, execute, preview_commands, undo
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.models import Action, EnrollmentEvent, StudentCourse
from tests.security.test_access import bearer
from tests.support.factories import make_course, make_grade, make_grades, make_student
from tests.support.imports import ENROLLMENTS, imported, outcomes, worked_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def table():
    make_grades("ABC", "F")


def completed(student, course, grade, actor):
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    return complete(student_id=student.pk, course_id=course.pk, grade=grade, actor=actor)


def enroll_codes(student, course, actor):
    """Return the codes of the refusals if the student enrolled."""
    [outcome] = execute([EnrollmentCommand(Action.ENROLL, student.pk, course.pk)], actor)
    return [refusal.code for refusal in outcome.refusals]


def waiting(student, course, actor):
    """Put a student on the waitlist, although the prerequisites are not met, and free a seat."""
    course.capacity = 0
    course.waitlist_capacity = None
    items, course.prerequisites = course.prerequisites, []
    course.save()
    enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
    course.capacity, course.prerequisites = 10, items
    course.save()


def status(student, course):
    return StudentCourse.objects.filter(student=student, course=course).latest("pk").status


def test_without_a_table_any_grade_is_accepted_and_passes(actor):
    student, first = make_student(), make_course(code="MATH-1")
    following = make_course(prerequisites=["MATH-1", {"course": "MATH-1", "grade": "A"}])
    completed(student, first, "F", actor)

    assert enroll_codes(student, following, actor) == []


@pytest.mark.parametrize(
    ("grade", "item", "is_met"),
    [
        ("C", "MATH-1", True),
        ("F", "MATH-1", False),
        ("", "MATH-1", True),
        ("P", "MATH-1", True),
        ("F", ["MATH-1", "CS-1"], False),
        ("C", ["CS-1", "MATH-1"], True),
        ("C", {"course": "MATH-1", "grade": "C"}, True),
        ("A", {"course": "MATH-1", "grade": "C"}, True),
        ("C", {"course": "MATH-1", "grade": "B"}, False),
        ("", {"course": "MATH-1", "grade": "C"}, False),
        ("P", {"course": "MATH-1", "grade": "C"}, False),
        ("F", {"course": "MATH-1", "grade": "C"}, False),
    ],
)
def test_prerequisites_count_passing_grades_and_minimum_grades(table, grade, item, is_met, actor):
    make_grade(code="P", passes=True)
    student, first, following = make_student(), make_course(code="MATH-1"), make_course(prerequisites=[item])
    completed(student, first, grade, actor)

    assert enroll_codes(student, following, actor) == ([] if is_met else ["prerequisite_missing"])


def test_a_failing_rank_above_a_minimum_does_not_pass(table, actor):
    make_grade(code="X", passes=False, rank=99)
    student, first = make_student(), make_course(code="MATH-1")
    following = make_course(prerequisites=[{"course": "MATH-1", "grade": "C"}])
    completed(student, first, "X", actor)

    assert enroll_codes(student, following, actor) == ["prerequisite_missing"]


def test_a_repeated_course_counts_with_its_best_completion(table, actor):
    student, first, following = make_student(), make_course(code="MATH-1"), make_course(prerequisites=["MATH-1"])
    completed(student, first, "F", actor)
    completed(student, first, "C", actor)
    assert [row.grade for row in StudentCourse.objects.order_by("pk")] == ["F", "C"]

    assert enroll_codes(student, following, actor) == []


def test_an_old_row_with_an_unknown_grade_stays_readable_and_does_not_pass(actor, api):
    student, first, following = make_student(), make_course(code="MATH-1"), make_course(prerequisites=["MATH-1"])
    completed(student, first, "1.7", actor)
    make_grades()
    path = f"/api/v1/students/{student.pk}/courses/{first.pk}"

    same = api.patch(path, {"status": "completed", "grade": "1.7"})
    other = api.patch(path, {"status": "completed", "grade": "1.8"})

    assert api.get(path).json()["grade"] == "1.7"
    assert (same.status_code, same.json()["grade"], same.json()["version"]) == (200, "1.7", 2)
    assert (other.status_code, other.json()["code"]) == (400, "unknown_grade")
    assert other.json()["errors"] == [
        {
            "code": "unknown_grade",
            "field": "grade",
            "message": "1.8 is not in the table of grades. Grades: A, B, C, D, F.",
        }
    ]
    assert enroll_codes(student, following, actor) == ["prerequisite_missing"]


def test_completing_with_a_failing_grade_promotes_nobody_and_a_correction_does(table, actor):
    student, first = make_student(), make_course(code="MATH-1")
    following = make_course(prerequisites=["MATH-1"])
    waiting(student, following, actor)

    completed(student, first, "F", actor)
    assert status(student, following) == "waitlisted"

    complete(student_id=student.pk, course_id=first.pk, grade="B", actor=actor)
    assert status(student, following) == "enrolled"
    assert [event.action for event in EnrollmentEvent.objects.order_by("pk")][-2:] == ["complete", "promote"]


def test_a_better_grade_promotes_by_the_minimum(table, actor):
    student, first = make_student(), make_course(code="MATH-1")
    following = make_course(prerequisites=[{"course": "MATH-1", "grade": "B"}])
    waiting(student, following, actor)
    completed(student, first, "C", actor)
    assert status(student, following) == "waitlisted"

    complete(student_id=student.pk, course_id=first.pk, grade="B", actor=actor)

    assert status(student, following) == "enrolled"


@pytest.mark.parametrize("grades", [("B", "F"), ("", "F")])
def test_undoing_a_worse_grade_promotes(table, grades, actor):
    student, first = make_student(), make_course(code="MATH-1")
    following = make_course(prerequisites=["MATH-1"])
    for grade in grades:
        completed(student, first, grade, actor) if grade == grades[0] else complete(
            student_id=student.pk, course_id=first.pk, grade=grade, actor=actor
        )
    waiting(student, following, actor)
    assert status(student, following) == "waitlisted"

    undo(student_id=student.pk, course_id=first.pk, actor=actor)

    assert status(student, following) == "enrolled"


def test_undoing_a_better_grade_promotes_nobody(table, actor):
    student, first = make_student(), make_course(code="MATH-1")
    following = make_course(prerequisites=["MATH-1"])
    completed(student, first, "F", actor)
    complete(student_id=student.pk, course_id=first.pk, grade="", actor=actor)
    waiting(student, following, actor)

    undo(student_id=student.pk, course_id=first.pk, actor=actor)

    assert status(student, following) == "waitlisted"


def test_the_undo_of_an_import_promotes_by_the_grades_that_it_restores(table, actor):
    student, first = make_student(student_number="S-1"), make_course(code="MATH-1")
    following = make_course(prerequisites=["MATH-1"])
    completed(student, first, "B", actor)
    job = imported(f"{ENROLLMENTS}S-1,MATH-1,,completed,F,\n")
    waiting(student, following, actor)
    assert status(student, following) == "waitlisted"

    worked_on(start_undo(job.pk, channel=ImportChannel.API, request_id="u"))

    assert StudentCourse.objects.get(course=first).grade == "B"
    assert status(student, following) == "enrolled"


def test_a_completion_in_a_batch_counts_with_its_grade_for_the_next_row(table, actor):
    student, first = make_student(), make_course(code="MATH-1")
    following = make_course(prerequisites=[{"course": "MATH-1", "grade": "B"}])
    enroll(student_id=student.pk, course_id=first.pk, actor=actor)

    def batch(*grades):
        acts = [EnrollmentCommand(Action.COMPLETE, student.pk, first.pk, grade) for grade in grades]
        return execute([*acts, EnrollmentCommand(Action.ENROLL, student.pk, following.pk)], actor)[-1].accepted

    assert [batch("C"), batch("F"), batch("A", "F"), batch("F", "A")] == [False, False, False, True]


def test_a_worse_grade_changes_no_other_enrollment_and_the_preview_counts_those_that_depend_on_it(table, actor):
    student, first = make_student(), make_course(code="MATH-1")
    completed(student, first, "B", actor)
    dependent = make_course(prerequisites=["MATH-1"])
    by_minimum = make_course(prerequisites=[{"course": "MATH-1", "grade": "B"}])
    by_alternative = make_course(prerequisites=[["MATH-1", "CS-1"]])
    completed(student, make_course(code="CS-1"), "C", actor)
    for course in (dependent, by_minimum, by_alternative):
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    before = list(StudentCourse.objects.exclude(course=first).order_by("pk").values())

    counts = {}
    for grade in ("F", "C", "A", "B"):
        preview = preview_commands([EnrollmentCommand(Action.COMPLETE, student.pk, first.pk, grade)], actor)
        counts[grade] = len(preview.losing_prerequisites)
    complete(student_id=student.pk, course_id=first.pk, grade="F", actor=actor)

    assert counts == {"F": 2, "C": 1, "A": 0, "B": 0}
    assert list(StudentCourse.objects.exclude(course=first).order_by("pk").values()) == before


@pytest.fixture
def dependent_on_b(table, actor):
    """A student with B in MATH-1, and two open enrollments that require it; the path of the enrollment in MATH-1."""
    student, first = make_student(), make_course(code="MATH-1")
    completed(student, first, "B", actor)
    for code in ("MATH-2", "MATH-3"):
        enroll(student_id=student.pk, course_id=make_course(code=code, prerequisites=["MATH-1"]).pk, actor=actor)
    return f"/api/v1/students/{student.pk}/courses/{first.pk}"


@pytest.mark.parametrize(("grade", "losing"), [("F", 2), ("C", 0), ("B", 0)])
def test_the_preview_of_a_grade_in_the_api_counts_the_enrollments_that_depend_on_it(dependent_on_b, grade, losing, api):
    before = api.get(dependent_on_b).json()
    events = EnrollmentEvent.objects.count()

    answer = api.patch(dependent_on_b, {"status": "completed", "grade": grade, "dry_run": True})

    is_changed = grade != "B"
    expected = {**before, "grade": grade, "version": before["version"] + is_changed, "losing_prerequisites": losing}
    assert (answer.status_code, {**answer.json(), "updated_at": before["updated_at"]}) == (200, expected)
    assert api.get(dependent_on_b).json() == before
    assert EnrollmentEvent.objects.count() == events


def test_a_preview_in_the_api_gives_the_refusals_of_the_change(dependent_on_b, api):
    etag = api.get(dependent_on_b).headers["ETag"]
    body = {"status": "completed", "grade": "E", "dry_run": True}
    unknown = api.patch(dependent_on_b, body)
    without_status = api.patch(dependent_on_b, {"dry_run": True})
    unchanged = api.patch(dependent_on_b, {"grade": "B", "status": "completed", "dry_run": True, "reason": ""})
    changed_since = api.patch(dependent_on_b, {**body, "grade": "F"}, headers={"If-Match": etag[:-1] + '0"'})

    refused = [(each.status_code, each.json()["code"]) for each in (unknown, without_status, changed_since)]
    assert refused == [(400, "unknown_grade"), (400, "invalid"), (412, "precondition_failed")]
    assert (unchanged.status_code, unchanged.json()["losing_prerequisites"]) == (200, 0)


@pytest.mark.parametrize("atomic", [False, True])
def test_the_preview_of_a_batch_counts_the_enrollments_that_depend_on_its_grades(dependent_on_b, atomic, api):
    row = StudentCourse.objects.get(course__code="MATH-1")
    new = make_course(code="MATH-4")
    before = list(StudentCourse.objects.order_by("pk").values())
    items = [
        {"action": "complete", "student_id": row.student_id, "course_code": "MATH-1", "grade": "F"},
        {"action": "enroll", "student_id": row.student_id, "course_id": new.pk},
    ]

    answer = api.post("/api/v1/enrollments/batch", {"items": items, "atomic": atomic, "dry_run": True})

    assert (answer.status_code, answer.json()["losing_prerequisites"]) == (200, 2)
    assert [(each["status"], each["enrollment"]) for each in answer.json()["outcomes"]] == [
        ("updated", {"id": row.pk, "status": "completed"}),
        ("created", {"id": None, "status": "enrolled"}),
    ]
    assert list(StudentCourse.objects.order_by("pk").values()) == before


@pytest.mark.parametrize(("atomic", "status", "losing"), [(False, 207, 2), (True, 422, None)])
def test_the_preview_of_a_batch_with_a_refused_item_counts_only_what_would_be_done(
    dependent_on_b, atomic, status, losing, api
):
    row = StudentCourse.objects.get(course__code="MATH-1")
    full = make_course(code="MATH-4", capacity=0)
    items = [
        {"action": "complete", "student_id": row.student_id, "course_code": "MATH-1", "grade": "F"},
        {"action": "enroll", "student_id": row.student_id, "course_id": full.pk},
    ]

    answer = api.post("/api/v1/enrollments/batch", {"items": items, "atomic": atomic, "dry_run": True})

    assert (answer.status_code, answer.json().get("losing_prerequisites")) == (status, losing)
    assert [each["status"] for each in answer.json()["outcomes"]] == [
        "not_applied" if atomic else "updated",
        "refused",
    ]


def test_a_limited_client_gets_the_count_of_visible_enrollments(dependent_on_b):
    scopes = ["enrollments:write"]
    keys = create_api_client("limited", " ".join(scopes), courses=["MATH-1", "MATH-2"])
    limited = bearer(ApiClient.objects.get(client_id=keys.client_id), scopes)

    answer = limited.patch(dependent_on_b, {"status": "completed", "grade": "F", "dry_run": True})

    assert (answer.status_code, answer.json()["losing_prerequisites"]) == (200, 1)


@pytest.mark.parametrize("path", ["act", "sheet"])
def test_the_preview_in_the_admin_says_how_many_enrollments_depend_on_the_grade(table, path, registrar_client, actor):
    student, first = make_student(), make_course(code="MATH-1")
    row = completed(student, first, "B", actor).enrollment
    following = make_course(prerequisites=["MATH-1"])
    enroll(student_id=student.pk, course_id=following.pk, actor=actor)

    if path == "act":
        form = {"action": "complete", "chosen": row.pk, "grade": "F"}
        page = registrar_client.post("/admin/students/studentcourse/act/", form)
    else:
        page = registrar_client.post(f"/admin/courses/course/{first.pk}/grades/", {f"grade:{row.pk}": "F"})

    note = "1 open enrollment no longer meets its prerequisites by a changed grade. It is not changed."
    assert page.context["notes"] == [note]
    assert note in page.content.decode()


@pytest.mark.parametrize("review", ["dry_run", "needed"])
def test_an_import_says_how_many_enrollments_depend_on_a_grade(table, review, actor):
    student, first = make_student(student_number="S-1"), make_course(code="MATH-1")
    completed(student, first, "B", actor)
    for _each in range(2):
        enroll(student_id=student.pk, course_id=make_course(prerequisites=["MATH-1"]).pk, actor=actor)

    job = imported(f"{ENROLLMENTS}S-1,MATH-1,,completed,F,\n", review=review)

    assert notes_of(job) == ["Open enrollments whose prerequisites are no longer met: 2."]


def notes_of(job):
    [part] = parts_of(job)
    return [str(stored.note) for _raw, stored in Report(job, part).rows()]


def test_the_grade_sheet_refuses_an_unknown_grade_and_applies_the_others(table, registrar_client, actor):
    course, students = make_course(), [make_student(), make_student()]
    for student in students:
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    first, second = StudentCourse.objects.order_by("pk")
    form = {f"grade:{first.pk}": "E", f"grade:{second.pk}": "A"}

    page = registrar_client.post(f"/admin/courses/course/{course.pk}/grades/", form)

    preview = page.context["preview"]
    assert [line.reasons for line in preview.refused] == [("E is not in the table of grades. Grades: A, B, C, F.",)]
    assert [line.student for line in preview.changed] == [second.student]


def test_a_full_file_keeps_an_enrollment_whose_row_has_an_unknown_grade(table, actor):
    student, course = make_student(student_number="S-1"), make_course(code="MATH-1", capacity=1)
    imported(f"{ENROLLMENTS}S-1,MATH-1,,enrolled,,\n", mode="full", scope="course:MATH-1")

    job = imported(f"{ENROLLMENTS}S-1,MATH-1,,completed,E,\n", mode="full", scope="course:MATH-1", on_error="skip")

    assert outcomes(job) == [(2, "error", ["unknown_grade"])]
    assert status(student, course) == "enrolled"


def test_a_plain_batch_reads_no_grades(actor):
    make_grades()
    student, course = make_student(), make_course()
    with CaptureQueriesContext(connection) as queries:
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
        complete_many([(student.pk, course.pk)], actor=actor)

    assert [each["sql"] for each in queries if "courses_grade" in each["sql"]] == []


def test_the_table_of_grades_is_read_once_for_a_batch(table, actor):
    course, following = make_course(code="MATH-1"), make_course(prerequisites=["MATH-1"])
    students = [make_student() for _each in range(20)]
    for student in students:
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    acts = [
        command
        for student in students
        for command in (
            EnrollmentCommand(Action.COMPLETE, student.pk, course.pk, "A"),
            EnrollmentCommand(Action.ENROLL, student.pk, following.pk),
        )
    ]
    with CaptureQueriesContext(connection) as queries:
        accepted = [outcome.accepted for outcome in execute(acts, actor)]

    assert accepted == [True] * 40
    assert len([each for each in queries if "courses_grade" in each["sql"]]) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda api: api.patch("/api/v1/grades/code:F", {"passes": True}),
        lambda api: api.post("/api/v1/grades", {"code": "OLD", "passes": True, "rank": None}),
        lambda api: [api.delete(f"/api/v1/grades/code:{code}") for code in ("F", "C", "B", "A")][-1],
    ],
    ids=["passes", "new", "empty"],
)
def test_a_change_of_the_table_promotes_students_who_now_qualify(change, api, actor):
    first, following = make_course(code="MATH-1"), make_course(prerequisites=["MATH-1"])
    students = [make_student(), make_student()]
    for student, grade in zip(students, ("F", "OLD"), strict=True):
        completed(student, first, grade, actor)
    make_grades("ABC", "F")
    for student in students:
        waiting(student, following, actor)

    answer = change(api)

    assert answer.status_code in (200, 201, 204)
    expected = {200: ["enrolled", "waitlisted"], 201: ["waitlisted", "enrolled"], 204: ["enrolled", "enrolled"]}
    assert [status(student, following) for student in students] == expected[answer.status_code]
    assert Grade.objects.count() == {200: 4, 201: 5, 204: 0}[answer.status_code]
