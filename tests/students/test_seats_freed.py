"""Whatever frees a seat or makes who waits eligible, through whichever door, gives the seat away at once."""

import csv
import io

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command

from courses.models import Course
from students.enrollment import drop, enroll
from students.enrollment.commands import OnFull, Origin
from students.models import Channel, EnrollmentEvent, Student, StudentCourse
from tests.factories import make_course, make_student

pytestmark = pytest.mark.django_db

ORIGIN = Origin(Channel.SYSTEM)
COURSE = {"code": "C-1", "name": "A course", "level": "introductory", "prerequisites": ""}


@pytest.fixture
def line():
    """A course with one seat, which is taken, and two who wait for it, in their order."""
    course = make_course(code="C-1", capacity=1, waitlist_capacity=5)
    students = [make_student(student_number=f"S-{n}", email=f"s{n}@x.example") for n in range(3)]
    for student in students:
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, origin=ORIGIN)
    return course, students


def seated():
    return list(StudentCourse.objects.seated().order_by("student").values_list("student", flat=True))


def import_file(command, path, text, **options):
    """Run an import and return its report."""
    path.write_text(text)
    quiet = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    call_command(command, path, report=str(path.with_suffix(".report")), **quiet, **options)
    return list(csv.DictReader(path.with_suffix(".report").read_text().splitlines()))


# More seats


@pytest.mark.parametrize(("capacity", "more"), [(2, 1), (3, 2), (None, 2)])
def test_more_seats_over_the_api_let_in_who_waits(api, line, capacity, more):
    course, students = line

    answer = api.patch(f"/api/v1/courses/{course.pk}", {"capacity": capacity})

    assert seated() == [student.pk for student in students[: 1 + more]]
    free = None if capacity is None else 0
    assert answer.json()["seats"] == {"taken": 1 + more, "free": free, "waiting": 2 - more, "over": 0}


def test_more_seats_in_the_admin_let_in_who_waits_and_the_page_names_them(registrars_desk, line):
    course, students = line
    form = {**COURSE, "capacity": 2, "waitlist_capacity": 5, "is_active": "on"}
    times = {f"enrollment_{name}_at_{part}": "" for name in ("opens", "closes") for part in (0, 1)}

    answer = registrars_desk.post(f"/admin/courses/course/{course.pk}/change/", {**form, **times}, follow=True)

    assert seated() == [students[0].pk, students[1].pk]
    told = [str(message) for message in answer.context["messages"]]
    assert f"{students[1]} · {course} moved from the waitlist to a seat." in told


def test_more_seats_by_a_file_let_in_who_waits(tmp_path, line):
    _course, students = line

    import_file("import_courses", tmp_path / "c.csv", "code,name,level,capacity\nC-1,A course,introductory,2\n")

    assert seated() == [students[0].pk, students[1].pk]
    assert EnrollmentEvent.objects.latest("pk").action == "promote"


# Fewer seats


def test_fewer_seats_than_are_taken_are_told_of_in_the_answer(api, line):
    course, _students = line

    answer = api.patch(f"/api/v1/courses/{course.pk}", {"capacity": 0})

    assert answer.status_code == 200
    assert answer.json()["seats"] == {"taken": 1, "free": 0, "waiting": 2, "over": 1}
    message = "Enrolled: 1, seats: 0. Enrolled students keep their seats, and no new students are enrolled."
    assert answer.json()["warnings"] == [{"code": "over_capacity", "message": message}]


def test_fewer_seats_than_are_taken_are_told_of_in_the_report_of_a_file(tmp_path, line):
    text = "code,name,level,capacity\nC-1,A course,introductory,0\nC-2,Another,introductory,0\n"

    rows = import_file("import_courses", tmp_path / "c.csv", text)

    message = "Enrolled: 1, seats: 0. Enrolled students keep their seats, and no new students are enrolled."
    assert [(row["outcome"], row["message"]) for row in rows] == [("updated", message), ("created", "")]


def test_courses_with_more_enrolled_than_seats_can_be_found_in_the_admin(registrars_desk, line):
    Course.objects.filter(code="C-1").update(capacity=0)
    make_course(code="C-2", capacity=0)

    def found(seats):
        page = registrars_desk.get(f"/admin/courses/course/?seats={seats}")
        return [course.code for course in page.context["cl"].result_list]

    assert "<strong>1 over capacity</strong>" in registrars_desk.get("/admin/courses/course/").content.decode()
    assert [found(seats) for seats in ("over", "full", "free", "line")] == [
        ["C-1"],
        ["C-1", "C-2"],
        [],
        ["C-1"],
    ]


def test_an_earlier_version_with_more_seats_that_is_saved_again_lets_in_who_waits(registrars_desk, line):
    course, students = line
    course.capacity = 2
    course.save()
    earlier = course.history.latest().pk
    course.capacity = 1
    course.save()
    form = {**COURSE, "capacity": 2, "waitlist_capacity": 5, "is_active": "on"}
    times = {f"enrollment_{name}_at_{part}": "" for name in ("opens", "closes") for part in (0, 1)}

    registrars_desk.post(f"/admin/courses/course/{course.pk}/history/{earlier}/", {**form, **times})

    assert seated() == [students[0].pk, students[1].pk]


# Active again


def test_a_course_that_is_active_again_lets_in_who_waits(api, line):
    course, students = line
    Course.objects.update(is_active=False)
    drop(student_id=students[0].pk, course_id=course.pk, origin=ORIGIN)
    assert seated() == []

    api.patch(f"/api/v1/courses/{course.pk}", {"is_active": True})

    assert seated() == [students[1].pk]


@pytest.fixture
def passed_over(line):
    """The next in line is not active, and nobody else waits: the seat is free."""
    course, students = line
    drop(student_id=students[2].pk, course_id=course.pk, origin=ORIGIN)
    Student.objects.filter(pk=students[1].pk).update(is_active=False)
    drop(student_id=students[0].pk, course_id=course.pk, origin=ORIGIN)
    assert seated() == []
    return students[1]


def test_a_student_who_is_active_again_over_the_api_gets_the_seat(api, passed_over):
    api.patch(f"/api/v1/students/{passed_over.pk}", {"is_active": True})

    assert seated() == [passed_over.pk]


def test_a_student_who_is_active_again_in_the_admin_gets_the_seat(registrars_desk, passed_over):
    form = {"student_number": "S-1", "given_name": "A", "family_name": "B", "email": "", "is_active": "on"}

    registrars_desk.post(f"/admin/students/student/{passed_over.pk}/change/", form)

    assert seated() == [passed_over.pk]


def test_a_student_who_is_active_again_by_a_file_gets_the_seat(tmp_path, passed_over):
    text = "student_number,given_name,family_name,is_active\nS-1,A,B,true\n"

    import_file("import_students", tmp_path / "s.csv", text)

    assert seated() == [passed_over.pk]


def test_who_waits_where_time_alone_has_opened_a_window_gets_a_seat_by_the_command(line, capsys):
    course, students = line
    Course.objects.update(enrollment_opens_at="2999-01-01T00:00Z")
    drop(student_id=students[0].pk, course_id=course.pk, origin=ORIGIN)
    Course.objects.update(enrollment_opens_at="2026-01-01T00:00Z")

    call_command("promote_waitlists")

    assert capsys.readouterr().out == "1 waitlisted students have a seat now.\n"
    assert seated() == [students[1].pk]


# Files


def test_a_file_lets_wait_whom_its_status_or_its_option_lets_wait(tmp_path, line):
    for n in range(3, 6):
        make_student(student_number=f"S-{n}", email="")
    head = "student_number,course_code,status\n"

    by_status = import_file("import_enrollments", tmp_path / "a.csv", f"{head}S-3,C-1,waitlisted\n")
    by_option = import_file("import_enrollments", tmp_path / "b.csv", f"{head}S-4,C-1,\n", on_full="waitlist")
    again = import_file("import_enrollments", tmp_path / "c.csv", f"{head}S-3,C-1,waitlisted\nS-4,C-1,enrolled\n")

    assert [(row["outcome"], row["message"]) for row in by_status] == [("waitlisted", "Waitlist position 3.")]
    assert [(row["outcome"], row["message"]) for row in by_option] == [("waitlisted", "Waitlist position 4.")]
    assert [row["outcome"] for row in again] == ["unchanged", "unchanged"]


def test_a_file_waives_only_for_an_actor_who_may(tmp_path, registrar, viewer):
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


def test_a_program_without_the_scope_waives_nothing(make_client):
    program = make_client("enrollments:write")
    student, course = make_student(), make_course(capacity=0)
    body = {"course_id": course.pk, "waive": ["course_full"], "reason": "please"}

    answer = program.post(f"/api/v1/students/{student.pk}/courses", body)

    assert (answer.status_code, answer.json()["code"]) == (403, "waiver_not_allowed")
    assert StudentCourse.objects.count() == 0


def test_a_waiver_of_what_does_not_stand_in_the_way_is_not_recorded(api):
    student, course = make_student(), make_course()
    body = {"course_id": course.pk, "waive": ["course_full"], "reason": "to be sure"}

    assert api.post(f"/api/v1/students/{student.pk}/courses", body).status_code == 201

    assert EnrollmentEvent.objects.get().waived == []


def test_the_admin_offers_waivers_only_to_who_may_waive(client, registrar):
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
def test_the_page_of_a_problem_says_who_can_waive_it(client, code, says):
    assert says in client.get(f"/problems/{code}").content.decode()


# Timelines


def test_the_pages_of_a_student_a_course_and_an_enrollment_show_what_happened(registrars_desk, line):
    course, students = line
    drop(student_id=students[0].pk, course_id=course.pk, reason="moved away", origin=ORIGIN)
    enrollment = StudentCourse.objects.get(student=students[0])

    pages = [
        f"/admin/students/student/{students[0].pk}/change/?tab=timeline",
        f"/admin/courses/course/{course.pk}/change/?tab=timeline",
        f"/admin/students/studentcourse/{enrollment.pk}/change/",
    ]

    assert ["moved away" in registrars_desk.get(page).content.decode() for page in pages] == [True] * 3
    assert "promoted" in registrars_desk.get(pages[1]).content.decode()
