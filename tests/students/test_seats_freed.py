"""A change at any entry point that frees a seat or makes a waitlisted student eligible gives the seat immediately."""

import csv
import io

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command

from courses.models import Course
from students.enrollment import drop, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Channel, EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student

pytestmark = pytest.mark.django_db

ORIGIN = ActorContext(Channel.SYSTEM)
COURSE = {"code": "C-1", "name": "A course", "level": "introductory", "prerequisites": ""}


@pytest.fixture
def waitlisted_course():
    """A course with one seat, which is taken, and two waitlisted students in order."""
    course = make_course(code="C-1", capacity=1, waitlist_capacity=5)
    students = [make_student(student_number=f"S-{n}", email=f"s{n}@x.example") for n in range(3)]
    for student in students:
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=ORIGIN)
    return course, students


def enrolled_ids():
    return list(StudentCourse.objects.enrolled().order_by("student").values_list("student", flat=True))


def import_file(command, path, text, **options):
    """Run an import and return its report."""
    path.write_text(text)
    quiet = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    call_command(command, path, report=str(path.with_suffix(".report")), **quiet, **options)
    return list(csv.DictReader(path.with_suffix(".report").read_text().splitlines()))


# More seats


@pytest.mark.parametrize(("capacity", "more"), [(2, 1), (3, 2), (None, 2)])
def test_more_seats_by_the_api_promote_waitlisted_students(api, waitlisted_course, capacity, more):
    course, students = waitlisted_course

    answer = api.patch(f"/api/v1/courses/{course.pk}", {"capacity": capacity})

    assert enrolled_ids() == [student.pk for student in students[: 1 + more]]
    free = None if capacity is None else 0
    assert answer.json()["seats"] == {"taken": 1 + more, "free": free, "waiting": 2 - more, "over": 0}


def test_more_seats_in_the_admin_promote_waitlisted_students_and_list_them(registrar_client, waitlisted_course):
    course, students = waitlisted_course
    form = {**COURSE, "capacity": 2, "waitlist_capacity": 5, "is_active": "on"}
    times = {f"enrollment_{name}_at_{part}": "" for name in ("opens", "closes") for part in (0, 1)}

    answer = registrar_client.post(f"/admin/courses/course/{course.pk}/change/", {**form, **times}, follow=True)

    assert enrolled_ids() == [students[0].pk, students[1].pk]
    told = [str(message) for message in answer.context["messages"]]
    assert f"{students[1]} · {course} moved from the waitlist to a seat." in told


def test_more_seats_by_a_file_promote_waitlisted_students(tmp_path, waitlisted_course):
    _course, students = waitlisted_course

    import_file("import_courses", tmp_path / "c.csv", "code,name,level,capacity\nC-1,A course,introductory,2\n")

    assert enrolled_ids() == [students[0].pk, students[1].pk]
    assert EnrollmentEvent.objects.latest("pk").action == "promote"


# Fewer seats


def test_a_capacity_below_the_taken_seats_is_reported_in_the_response(api, waitlisted_course):
    course, _students = waitlisted_course

    answer = api.patch(f"/api/v1/courses/{course.pk}", {"capacity": 0})

    assert answer.status_code == 200
    assert answer.json()["seats"] == {"taken": 1, "free": 0, "waiting": 2, "over": 1}
    message = "Enrolled: 1, seats: 0. Enrolled students keep their seats, and no new students are enrolled."
    assert answer.json()["warnings"] == [{"code": "over_capacity", "message": message}]


def test_a_capacity_below_the_taken_seats_is_reported_in_the_import_report(tmp_path, waitlisted_course):
    text = "code,name,level,capacity\nC-1,A course,introductory,0\nC-2,Another,introductory,0\n"

    rows = import_file("import_courses", tmp_path / "c.csv", text)

    message = "Enrolled: 1, seats: 0. Enrolled students keep their seats, and no new students are enrolled."
    assert [(row["outcome"], row["message"]) for row in rows] == [("updated", message), ("created", "")]


def test_courses_over_capacity_can_be_filtered_in_the_admin(registrar_client, waitlisted_course):
    Course.objects.filter(code="C-1").update(capacity=0)
    make_course(code="C-2", capacity=0)

    def found(seats):
        page = registrar_client.get(f"/admin/courses/course/?seats={seats}")
        return [course.code for course in page.context["cl"].result_list]

    assert "<strong>1 over capacity</strong>" in registrar_client.get("/admin/courses/course/").content.decode()
    assert [found(seats) for seats in ("over", "full", "free", "line")] == [
        ["C-1"],
        ["C-1", "C-2"],
        [],
        ["C-1"],
    ]


def test_restoring_an_earlier_version_with_more_seats_promotes_students(registrar_client, waitlisted_course):
    course, students = waitlisted_course
    course.capacity = 2
    course.save()
    earlier = course.history.latest().pk
    course.capacity = 1
    course.save()
    form = {**COURSE, "capacity": 2, "waitlist_capacity": 5, "is_active": "on"}
    times = {f"enrollment_{name}_at_{part}": "" for name in ("opens", "closes") for part in (0, 1)}

    registrar_client.post(f"/admin/courses/course/{course.pk}/history/{earlier}/", {**form, **times})

    assert enrolled_ids() == [students[0].pk, students[1].pk]


# Active again


def test_reactivating_a_course_promotes_waitlisted_students(api, waitlisted_course):
    course, students = waitlisted_course
    Course.objects.update(is_active=False)
    drop(student_id=students[0].pk, course_id=course.pk, actor=ORIGIN)
    assert enrolled_ids() == []

    api.patch(f"/api/v1/courses/{course.pk}", {"is_active": True})

    assert enrolled_ids() == [students[1].pk]


@pytest.fixture
def passed_over(waitlisted_course):
    """The only waitlisted student is inactive, and a seat is free."""
    course, students = waitlisted_course
    drop(student_id=students[2].pk, course_id=course.pk, actor=ORIGIN)
    Student.objects.filter(pk=students[1].pk).update(is_active=False)
    drop(student_id=students[0].pk, course_id=course.pk, actor=ORIGIN)
    assert enrolled_ids() == []
    return students[1]


def test_a_student_reactivated_by_the_api_gets_the_seat(api, passed_over):
    api.patch(f"/api/v1/students/{passed_over.pk}", {"is_active": True})

    assert enrolled_ids() == [passed_over.pk]


def test_a_student_reactivated_in_the_admin_gets_the_seat(registrar_client, passed_over):
    form = {"student_number": "S-1", "given_name": "A", "family_name": "B", "email": "", "is_active": "on"}

    registrar_client.post(f"/admin/students/student/{passed_over.pk}/change/", form)

    assert enrolled_ids() == [passed_over.pk]


def test_a_student_reactivated_by_a_file_gets_the_seat(tmp_path, passed_over):
    text = "student_number,given_name,family_name,is_active\nS-1,A,B,true\n"

    import_file("import_students", tmp_path / "s.csv", text)

    assert enrolled_ids() == [passed_over.pk]


def test_the_promote_command_seats_students_after_a_window_has_opened(waitlisted_course, capsys):
    course, students = waitlisted_course
    Course.objects.update(enrollment_opens_at="2999-01-01T00:00Z")
    drop(student_id=students[0].pk, course_id=course.pk, actor=ORIGIN)
    Course.objects.update(enrollment_opens_at="2026-01-01T00:00Z")

    call_command("promote_waitlists")

    assert capsys.readouterr().out == "1 waitlisted students have a seat now.\n"
    assert enrolled_ids() == [students[1].pk]


# Files


def test_a_file_waitlists_students_by_its_status_column_or_the_on_full_option(tmp_path, waitlisted_course):
    for n in range(3, 6):
        make_student(student_number=f"S-{n}", email="")
    head = "student_number,course_code,status\n"

    by_status = import_file("import_enrollments", tmp_path / "a.csv", f"{head}S-3,C-1,waitlisted\n")
    by_option = import_file("import_enrollments", tmp_path / "b.csv", f"{head}S-4,C-1,\n", on_full="waitlist")
    again = import_file("import_enrollments", tmp_path / "c.csv", f"{head}S-3,C-1,waitlisted\nS-4,C-1,enrolled\n")

    assert [(row["outcome"], row["message"]) for row in by_status] == [("waitlisted", "Waitlist position 3.")]
    assert [(row["outcome"], row["message"]) for row in by_option] == [("waitlisted", "Waitlist position 4.")]
    assert [row["outcome"] for row in again] == ["unchanged", "unchanged"]


def test_a_file_applies_waivers_only_for_an_actor_with_the_permission(tmp_path, registrar, viewer):
    make_student(student_number="S-1")
    make_course(code="C-1", capacity=0)
    text = "student_number,course_code,waive,reason\nS-1,C-1,course_full,the dean agreed\n"

    with pytest.raises(CommandError, match="Nothing was applied"):
        import_file("import_enrollments", tmp_path / "a.csv", text, actor="viewer")
    allowed = import_file("import_enrollments", tmp_path / "b.csv", text, actor="registrar")

    [refused] = csv.DictReader((tmp_path / "a.report").read_text().splitlines())
    assert (refused["code"], refused["message"]) == ("waiver_not_allowed", "You do not have permission to waive rules.")
    assert [row["outcome"] for row in allowed] == ["enrolled"]


# Waivers


def test_a_client_without_the_scope_cannot_waive_rules(make_client):
    program = make_client("enrollments:write")
    student, course = make_student(), make_course(capacity=0)
    body = {"course_id": course.pk, "waive": ["course_full"], "reason": "please"}

    answer = program.post(f"/api/v1/students/{student.pk}/courses", body)

    assert (answer.status_code, answer.json()["code"]) == (403, "waiver_not_allowed")
    assert StudentCourse.objects.count() == 0


def test_a_waiver_that_was_not_needed_is_not_recorded(api):
    student, course = make_student(), make_course()
    body = {"course_id": course.pk, "waive": ["course_full"], "reason": "to be sure"}

    assert api.post(f"/api/v1/students/{student.pk}/courses", body).status_code == 201

    assert EnrollmentEvent.objects.get().waived == []


def test_the_admin_offers_waivers_only_to_users_with_the_permission(client, registrar):
    registrar.groups.clear()
    names = ["add_studentcourse", "view_studentcourse", "view_student", "view_course"]
    registrar.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(registrar)
    student, course = make_student(), make_course(capacity=0)
    form = {"student": student.pk, "course": course.pk, "waive": ["course_full"], "reason": "please"}

    answer = client.post("/admin/students/studentcourse/add/", form)

    assert "waive" not in answer.context["adminform"].form.fields
    assert answer.context["adminform"].form.non_field_errors() == [f"{course.code} has no free seat."]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("course_full", "A registrar can waive this rule for one enrollment"),
        ("student_inactive", "This rule cannot be waived."),
        ("not_found", "There is no resource at this URL."),
    ],
)
def test_the_problem_page_states_which_users_can_waive_the_rule(client, code, says):
    assert says in client.get(f"/problems/{code}").content.decode()


# Timelines


def test_student_course_and_enrollment_pages_show_the_events(registrar_client, waitlisted_course):
    course, students = waitlisted_course
    drop(student_id=students[0].pk, course_id=course.pk, reason="moved away", actor=ORIGIN)
    enrollment = StudentCourse.objects.get(student=students[0])

    pages = [
        f"/admin/students/student/{students[0].pk}/change/?tab=timeline",
        f"/admin/courses/course/{course.pk}/change/?tab=timeline",
        f"/admin/students/studentcourse/{enrollment.pk}/change/",
    ]

    assert ["moved away" in registrar_client.get(page).content.decode() for page in pages] == [True] * 3
    assert "promoted" in registrar_client.get(pages[1]).content.decode()
