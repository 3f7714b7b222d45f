"""Lists of the admin: filter chips, the running term as the default, short dates, totals, and hints in empty lists."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from courses.models import Term
from students.enrollment import enroll
from students.enrollment.commands import OnFull
from students.models import Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

ENROLLMENTS, COURSES = "/admin/students/studentcourse/", "/admin/courses/course/"


@pytest.fixture
def terms(actor):
    """A running term with an enrolled and a waitlisted student, and a past one with a course."""
    today = timezone.localdate()
    running = make_term(code="NOW", starts_on=today - timedelta(days=9), ends_on=today + timedelta(days=9))
    make_term(code="PAST", starts_on=today - timedelta(days=99), ends_on=today - timedelta(days=90))
    course = make_course(code="M-1", term=running, capacity=1, waitlist_capacity=5)
    other = make_course(code="M-2")
    make_course(code="M-3", term=Term.objects.get(code="PAST"))
    for row in (course, course, other):
        enroll(student_id=make_student().pk, course_id=row.pk, actor=actor, on_full=OnFull.WAITLIST)
    return running


def shown(desk, path):
    cl = desk.get(path).context["cl"]
    return cl.result_count, [(chip.title, chip.value, chip.remove_url) for chip in cl.chips]


def test_a_list_opens_with_the_running_term_as_a_filter_that_can_be_removed(registrar_client, terms):
    assert shown(registrar_client, ENROLLMENTS) == (2, [("Term", "NOW", "?rows=all")])
    assert shown(registrar_client, f"{ENROLLMENTS}?rows=all") == (3, [])
    assert shown(registrar_client, COURSES) == (1, [("Term", "NOW", "?rows=all")])
    assert shown(registrar_client, f"{COURSES}?rows=all") == (3, [])


def test_a_link_with_filters_shows_what_it_names(registrar_client, terms):
    count, chips = shown(registrar_client, f"{ENROLLMENTS}?status__exact=enrolled")
    assert (count, chips) == (2, [("Status", "enrolled", "?rows=all")])

    today = timezone.localdate()
    query = f"status__in=enrolled,waitlisted&enrolled_on__exact={today}&course__term__id__exact={terms.pk}"
    count, chips = shown(registrar_client, f"{ENROLLMENTS}?{query}")
    assert (count, [chip[0] for chip in chips]) == (1, ["Term", "Status", "Enrolled on"])
    assert chips[1][1] == "enrolled, waitlisted"
    assert re.fullmatch(r"[A-Z][a-z]{2} \d{1,2}, \d{4}", chips[2][1])


def test_no_filter_is_set_between_terms(registrar_client, terms):
    Term.objects.filter(pk=terms.pk).update(ends_on=timezone.localdate() - timedelta(days=1))

    assert shown(registrar_client, ENROLLMENTS) == (3, [])


def test_an_action_finds_each_selected_row_and_on_all_rows_only_the_listed_ones(registrar_client, terms):
    other = StudentCourse.objects.get(course__code="M-2")
    form = {"action": "drop", "_selected_action": [other.pk], "index": "0"}

    one = registrar_client.post(ENROLLMENTS, form)
    every = registrar_client.post(ENROLLMENTS, {**form, "select_across": "1"})

    assert [page.content.decode().count('name="chosen"') for page in (one, every)] == [1, 2]


def test_statuses_are_badges_with_the_waitlist_position(registrar_client, terms):
    page = registrar_client.get(ENROLLMENTS).content.decode()

    assert re.findall(r'<span class="desk-badge (\w+)">([^<]+)</span>', page) == [
        ("waitlisted", "waitlisted at 1"),
        ("enrolled", "enrolled"),
    ]


def test_no_list_begins_with_an_id(registrar_client, terms):
    lists = [ENROLLMENTS, COURSES, "/admin/students/enrollmentevent/", "/admin/students/refusedact/"]
    lists += ["/admin/students/student/", "/admin/bulk/import/"]
    columns = {path: registrar_client.get(path).context["cl"].list_display for path in lists}

    first = {path: next(name for name in names if name != "action_checkbox") for path, names in columns.items()}
    assert first == dict(zip(lists, ["student", "code", "student", "student", "student_number", "title"], strict=True))


def test_totals_name_the_rows_of_the_page(registrar_client):
    Student.objects.bulk_create(
        Student(student_number=f"T-{number:04}", given_name="Ada", family_name="Byron") for number in range(1_234)
    )

    page = " ".join(registrar_client.get("/admin/students/student/?p=2").content.decode().split())

    assert "101–200 of 1,234 students" in page


def test_dates_in_lists_are_short_in_the_language_of_the_reader(registrar_client, terms):
    day = terms.starts_on

    written = {"en": f"{day:%b} {day.day}, {day.year}", "de": f"{day:%d.%m.%Y}", "es": f"{day:%d/%m/%Y}"}
    for language, day in written.items():
        page = registrar_client.get("/admin/courses/term/", headers={"accept-language": language})
        assert day in page.content.decode()


def test_an_empty_list_says_what_to_do(registrar_client):
    page = registrar_client.get("/admin/students/student/").content.decode()
    assert "No students yet" in page
    assert "Add a student, or import a file of students." in page

    make_student()
    page = registrar_client.get("/admin/students/student/?q=nobody").content.decode()
    assert "No results for “nobody”" in page
    page = registrar_client.get("/admin/students/student/?is_active__exact=0").content.decode()
    assert "Remove a filter, or look for something else." in page


def test_only_a_row_that_nothing_refers_to_can_be_deleted(admin_client, terms):
    enrolled, free = StudentCourse.objects.all()[0].student, make_student()

    pages = [admin_client.get(f"/admin/students/student/{each.pk}/change/?tab=form") for each in (enrolled, free)]

    links = [f"/admin/students/student/{each.pk}/delete/" for each in (enrolled, free)]
    assert [link in page.content.decode() for link, page in zip(links, pages, strict=True)] == [False, True]
