"""Texts of the pages: headings, counts, and display values in place of internal names."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Group, User

from students.enrollment import execute
from students.enrollment.commands import EnrollmentCommand
from students.models import Action, Student, StudentCourse
from tests.support.factories import make_course, make_student

pytestmark = pytest.mark.django_db


def text_of(html):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def heading(page):
    [first, *_others] = re.findall(r"<h1.*?</h1>", page.content.decode(), re.DOTALL)
    return text_of(first).split(" chevron_right ")


@pytest.fixture
def waiver(registrar_client, registrar, actor):
    """Return an enrollment with a waiver."""
    course, student = make_course(code="ART-1", name="Painting", capacity=0), make_student(student_number="S-1")
    form = {"student": student.pk, "course": course.pk, "waive": ["course_full"], "reason": "Needs it"}
    registrar_client.post("/admin/students/studentcourse/add/", form)
    return StudentCourse.objects.get(student=student)


def test_the_heading_names_the_page_without_repetition(registrar_client, waiver):
    said = {
        path: heading(registrar_client.get(f"/admin/{path}"))
        for path in (
            "",
            "students/student/",
            "courses/course/add/",
            f"students/student/{waiver.student_id}/change/",
            f"students/student/{waiver.student_id}/history/",
            f"students/studentcourse/{waiver.pk}/change/",
        )
    }

    assert list(said.values()) == [
        ["Registrar's office"],
        ["Students"],
        ["Courses"],
        ["Students", str(waiver.student)],
        ["Students", str(waiver.student)],
        ["Enrollments", str(waiver)],
    ]


def test_a_filtered_list_shows_the_number_of_results(registrar_client):
    make_student(family_name="Byron")
    make_student(family_name="Hopper")

    assert heading(registrar_client.get("/admin/students/student/")) == ["Students"]
    assert heading(registrar_client.get("/admin/students/student/?q=Byron")) == ["Students 1 result ( Show all )"]
    assert heading(registrar_client.get("/admin/students/student/?is_active__exact=1")) == [
        "Students 2 results ( Show all )"
    ]


@pytest.mark.parametrize(("count", "text"), [(1, "1 entry"), (2, "2 entries")])
def test_journal_rows_are_counted_as_entries(registrar_client, actor, count, text):
    course = make_course()
    execute([EnrollmentCommand(Action.ENROLL, make_student().pk, course.pk) for _ in range(count)], actor)

    page = text_of(registrar_client.get("/admin/students/enrollmentevent/").content.decode())

    assert re.findall(r"\d+ entr\w+", page) == [text]


def test_history_rows_without_a_reason_show_a_dash(registrar_client):
    student = make_student(given_name="Ada")
    Student.objects.get(pk=student.pk).save()
    student.given_name = "Augusta"
    student.save()

    page = registrar_client.get(f"/admin/students/student/{student.pk}/history/").content.decode()
    [table] = re.findall(r"<tbody>.*?</tbody>", page, re.DOTALL)

    assert [row.split(" – ", 1)[1] for row in map(text_of, re.findall(r"<tr>.*?</tr>", table, re.DOTALL))] == [
        "– Given name: Ada → Augusta",
        "–",
        "–",
    ]


def test_a_waiver_is_shown_with_the_title_of_its_rule(registrar_client, waiver):
    timeline = registrar_client.get(f"/admin/courses/course/{waiver.course_id}/change/?tab=timeline")
    enrollment = registrar_client.get(f"/admin/students/studentcourse/{waiver.pk}/change/")

    assert "waived: Course is full" in text_of(timeline.content.decode())
    assert "Needs it Course is full" in text_of(enrollment.content.decode())
    assert [b"course_full" in page.content for page in (timeline, enrollment)] == [False, False]


def test_a_journal_entry_is_described_in_words(registrar_client, waiver):
    event = waiver.events.get()

    page = registrar_client.get(f"/admin/students/enrollmentevent/{event.pk}/change/")
    text = text_of(page.content.decode())

    assert (
        f"Changes enrolled on: – → {waiver.enrolled_on} Reason Needs it Waived rules Course is full Refusals -" in text
    )
    assert "course_full" not in page.content.decode()


def test_tokens_are_listed_by_their_application(admin_client):
    page = admin_client.get("/admin/oauth2_provider/accesstoken/")

    columns = [getattr(column, "__name__", column) for column in page.context["cl"].list_display]
    assert columns == ["action_checkbox", "application", "expires"]


def test_home_links_auditors_to_the_records_and_tells_users_without_a_role(client, registrar):
    auditor = User.objects.create_user("auditor", is_staff=True)
    auditor.groups.add(Group.objects.get(name="Auditor"))
    client.force_login(auditor)
    records = [
        (str(each["title"]), str(each["link"])) for each in client.get("/admin/").context["dashboard"]["audit_links"]
    ]
    client.force_login(User.objects.create_user("newcomer", is_staff=True))
    home = client.get("/admin/")

    assert records == [
        ("Journal", "/admin/students/enrollmentevent/"),
        ("Record of access", "/admin/school/personaldataaccess/"),
    ]
    assert home.context["dashboard"]["audit_links"] == []
    assert "Ask an administrator to give you a role." in text_of(home.content.decode())


def test_the_lockout_page_uses_the_admin_theme(client):
    for _time in range(6):
        page = client.post("/admin/login/", {"username": "somebody", "password": "a guess"})

    assert page.status_code == 429
    assert "/static/school/desk.css" in page.content.decode()
