"""What pages say beside their content: where one is, how much there is, and nothing that only a program would say."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Group, User

from students.enrollment import perform
from students.enrollment.commands import Act
from students.models import Action, Student, StudentCourse
from tests.factories import make_course, make_student

pytestmark = pytest.mark.django_db


def text_of(html):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def heading(page):
    [told, *_others] = re.findall(r"<h1.*?</h1>", page.content.decode(), re.DOTALL)
    return text_of(told).split(" chevron_right ")


@pytest.fixture
def waived(registrars_desk, registrar, origin):
    """Somebody who has a seat by a waiver."""
    course, student = make_course(code="ART-1", name="Painting", capacity=0), make_student(student_number="S-1")
    form = {"student": student.pk, "course": course.pk, "waive": ["course_full"], "reason": "Needs it"}
    registrars_desk.post("/admin/students/studentcourse/add/", form)
    return StudentCourse.objects.get(student=student)


def test_the_heading_says_where_one_is_and_nothing_twice(registrars_desk, waived):
    said = {
        path: heading(registrars_desk.get(f"/admin/{path}"))
        for path in (
            "",
            "students/student/",
            "courses/course/add/",
            f"students/student/{waived.student_id}/change/",
            f"students/student/{waived.student_id}/history/",
            f"students/studentcourse/{waived.pk}/change/",
        )
    }

    assert list(said.values()) == [
        ["The registrar's desk"],
        ["Students"],
        ["Courses"],
        ["Students", str(waived.student)],
        ["Students", str(waived.student)],
        ["Enrollments", str(waived)],
    ]


def test_a_list_says_how_many_were_found_where_something_was_looked_for(registrars_desk):
    make_student(family_name="Byron")
    make_student(family_name="Hopper")

    assert heading(registrars_desk.get("/admin/students/student/")) == ["Students"]
    assert heading(registrars_desk.get("/admin/students/student/?q=Byron")) == ["Students 1 result ( Show all )"]
    assert heading(registrars_desk.get("/admin/students/student/?is_active__exact=1")) == [
        "Students 2 results ( Show all )"
    ]


@pytest.mark.parametrize(("count", "told"), [(1, "1 entry"), (2, "2 entries")])
def test_lines_of_the_journal_are_counted_as_entries(registrars_desk, origin, count, told):
    course = make_course()
    perform([Act(Action.ENROLL, make_student().pk, course.pk) for _ in range(count)], origin)

    page = text_of(registrars_desk.get("/admin/students/enrollmentevent/").content.decode())

    assert re.findall(r"\d+ entr\w+", page) == [told]


def test_earlier_versions_have_a_dash_where_nobody_gave_a_reason(registrars_desk):
    student = make_student(given_name="Ada")
    Student.objects.get(pk=student.pk).save()
    student.given_name = "Augusta"
    student.save()

    page = registrars_desk.get(f"/admin/students/student/{student.pk}/history/").content.decode()
    [table] = re.findall(r"<tbody>.*?</tbody>", page, re.DOTALL)

    assert [row.split(" – ", 1)[1] for row in map(text_of, re.findall(r"<tr>.*?</tr>", table, re.DOTALL))] == [
        "– Given name: Ada → Augusta",
        "–",
        "–",
    ]


def test_a_waiver_is_told_by_the_title_of_its_rule(registrars_desk, waived):
    timeline = registrars_desk.get(f"/admin/courses/course/{waived.course_id}/change/?tab=timeline")
    enrollment = registrars_desk.get(f"/admin/students/studentcourse/{waived.pk}/change/")

    assert "waived: Course is full" in text_of(timeline.content.decode())
    assert "Needs it Course is full" in text_of(enrollment.content.decode())
    assert [b"course_full" in page.content for page in (timeline, enrollment)] == [False, False]


def test_an_entry_of_the_journal_is_told_in_words(registrars_desk, waived):
    event = waived.events.get()

    page = registrars_desk.get(f"/admin/students/enrollmentevent/{event.pk}/change/")
    told = text_of(page.content.decode())

    assert (
        f"Changes enrolled on: – → {waived.enrolled_on} Reason Needs it Waived rules Course is full Refusals -" in told
    )
    assert "course_full" not in page.content.decode()


def test_tokens_are_listed_by_whose_they_are(admin_client):
    page = admin_client.get("/admin/oauth2_provider/accesstoken/")

    assert page.context["cl"].list_display == ["action_checkbox", "application", "expires"]


def test_an_auditor_is_led_to_the_records_from_home_and_who_has_no_role_is_told_so(client, registrar):
    auditor = User.objects.create_user("auditor", is_staff=True)
    auditor.groups.add(Group.objects.get(name="Auditor"))
    client.force_login(auditor)
    records = [(str(each["title"]), str(each["link"])) for each in client.get("/admin/").context["home"]["records"]]
    client.force_login(User.objects.create_user("newcomer", is_staff=True))
    told = client.get("/admin/")

    assert records == [
        ("Journal", "/admin/students/enrollmentevent/"),
        ("Record of access", "/admin/school/personaldataaccess/"),
    ]
    assert told.context["home"]["records"] == []
    assert "Ask an administrator to give you a role." in text_of(told.content.decode())


def test_the_page_of_a_locked_login_has_the_look(client):
    for _time in range(6):
        page = client.post("/admin/login/", {"username": "somebody", "password": "a guess"})

    assert page.status_code == 429
    assert "/static/school/desk.css" in page.content.decode()
