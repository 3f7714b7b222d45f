"""The course page of the admin: its tabs, its seat bar and the exports of its roster."""

import csv
import io
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from courses.models import CourseStaff
from school.models import PersonalDataAccess
from students.admin.pages.seat_bar import seat_bar
from students.enrollment import complete, drop, execute
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.models import Action, Channel, Student, StudentCourse
from students.seats import Seats
from tests.support.factories import make_course, make_student, make_term
from tests.support.queries import cost_of

pytestmark = pytest.mark.django_db

ADA, MARY, GRACE = ("S-1", "Ada", "Byron"), ("S-2", "Mary", "Adams"), ("S-3", "Grace", "Hopper")


def page_of(course, query=""):
    return f"/admin/courses/course/{course.pk}/change/{query}"


def listed_students(answer):
    """Return student number and waitlist position of each listed student."""
    return [(row.student.student_number, row.waitlist_position) for row in answer.context["rows"]]


def titles(answer):
    return [(tab.title, tab.count) for tab in answer.context["tabs"]]


def enroll_in_order(course, *people, email=True):
    """Enroll or waitlist students in this order."""
    students = [
        make_student(
            student_number=number, given_name=given, family_name=family, email=f"{number}@x.example" if email else ""
        )
        for number, given, family in people
    ]
    acts = [EnrollmentCommand(Action.ENROLL, student.pk, course.pk, on_full=OnFull.WAITLIST) for student in students]
    execute(acts, ActorContext(Channel.SYSTEM))
    return students


@pytest.fixture
def course(db):
    """A course with two seats and an unlimited waitlist: Mary Adams and Ada Byron are enrolled, Grace and Rosa wait."""
    course = make_course(
        code="MATH-101", name="Calculus I", capacity=2, waitlist_capacity=None, term=make_term(code="2026F")
    )
    enroll_in_order(course, ADA, MARY, GRACE, ("S-4", "Rosa", "Parks"))
    return course


def test_the_course_page_opens_with_the_roster_sorted_by_name(registrar_client, course):
    answer = registrar_client.get(page_of(course))

    assert titles(answer) == [("Roster", 2), ("Waitlist", 2), ("Grades", None), ("Timeline", None), ("Settings", None)]
    assert listed_students(answer) == [("S-2", None), ("S-1", None)]


def test_the_waitlist_is_sorted_by_position_and_a_search_keeps_the_positions(registrar_client, course):
    assert listed_students(registrar_client.get(page_of(course, "?tab=waitlist"))) == [("S-3", 1), ("S-4", 2)]
    assert listed_students(registrar_client.get(page_of(course, "?tab=waitlist&q=park+ros"))) == [("S-4", 2)]


@pytest.mark.parametrize(
    ("query", "expected"), [("q=ada", ["S-2", "S-1"]), ("q=s-1", ["S-1"]), ("q=ada+byron", ["S-1"]), ("q=rosa", [])]
)
def test_the_roster_is_searched_by_number_and_name(registrar_client, course, query, expected):
    assert [
        number for number, _place in listed_students(registrar_client.get(page_of(course, f"?{query}")))
    ] == expected


def test_former_and_completed_students_are_listed_separately(registrar_client, course, actor):
    ada, mary = Student.objects.get(student_number="S-1"), Student.objects.get(student_number="S-2")
    drop(student_id=ada.pk, course_id=course.pk, actor=actor)
    complete(student_id=mary.pk, course_id=course.pk, grade="A", actor=actor)

    answer = registrar_client.get(page_of(course))
    assert [(name, count) for name, _title, count in answer.context["filters"]] == [
        ("enrolled", 2),
        ("completed", 1),
        ("left", 1),
    ]
    assert listed_students(answer) == [("S-3", None), ("S-4", None)]
    assert listed_students(registrar_client.get(page_of(course, "?status=left"))) == [("S-1", None)]
    assert listed_students(registrar_client.get(page_of(course, "?status=completed"))) == [("S-2", None)]


def test_the_page_of_an_ended_course_opens_with_completed_students(registrar_client, course, actor):
    for enrollment in StudentCourse.objects.filter(student__student_number__in=["S-3", "S-4"]):
        drop(student_id=enrollment.student_id, course_id=course.pk, actor=actor)
    for enrollment in StudentCourse.objects.enrolled():
        complete(student_id=enrollment.student_id, course_id=course.pk, actor=actor)

    assert listed_students(registrar_client.get(page_of(course))) == [("S-2", None), ("S-1", None)]


@pytest.mark.parametrize(
    "query", ["tab=x", "tab=", "status=x", "page=x", "page=-1", "page=99999999999999999999", "tab=timeline&before=x"]
)
def test_unknown_query_parameters_of_the_course_page_are_ignored(registrar_client, course, query):
    assert registrar_client.get(page_of(course, f"?{query}")).status_code == 200


def test_the_timeline_is_paginated_from_the_newest_event(registrar_client, course, monkeypatch):
    monkeypatch.setattr("students.admin.tabs.EVENTS_PER_PAGE", 3)

    newest = registrar_client.get(page_of(course, "?tab=timeline"))
    older = registrar_client.get(page_of(course, f"?tab=timeline&before={newest.context['older']}"))

    numbers = [
        [event.enrollment.student.student_number for event in answer.context["events"]] for answer in (newest, older)
    ]
    assert numbers == [["S-4", "S-3", "S-2"], ["S-1"]]
    assert older.context["older"] is None


def test_saving_with_errors_or_continue_returns_to_the_form_tab(registrar_client, course):
    form = {"code": "MATH-101", "name": "Calculus", "term": course.term_id, "level": "introductory", "is_active": "on"}
    where = {"enrollment_opens_at_0": "", "enrollment_opens_at_1": "", "capacity": "2", "waitlist_capacity": ""}

    assert "adminform" in registrar_client.get(page_of(course, "?tab=form")).context
    saved = registrar_client.post(page_of(course), {**form, **where, "_continue": "1"})
    wrong = registrar_client.post(page_of(course), {**form, **where, "code": ""})

    assert (saved.status_code, saved["Location"]) == (302, page_of(course, "?tab=form"))
    assert wrong.context["tab"] == "form"
    assert wrong.context["adminform"].form.errors == {"code": ["This field is required."]}


def buttons(answer):
    return re.findall(r'name="action" value="(\w+)"', answer.content.decode())


def test_a_viewer_sees_no_buttons_that_change_data(viewer, client, course):
    client.force_login(viewer)

    for tab in ("roster", "waitlist"):
        answer = client.get(page_of(course, f"?tab={tab}"))
        assert (buttons(answer), "box" in answer.context, len(listed_students(answer))) == ([], False, 2)
    assert client.post(f"/admin/courses/course/{course.pk}/enroll/", {"student": "1"}).status_code == 403


def test_course_staff_see_only_the_complete_button(django_user_model, client, course):
    teacher = django_user_model.objects.create_user("teacher", is_staff=True)
    teacher.groups.add(Group.objects.get(name="Course staff"))
    CourseStaff.objects.create(course=course, user=teacher)
    client.force_login(teacher)

    answer = client.get(page_of(course))

    assert titles(answer) == [("Roster", 2), ("Waitlist", 2), ("Grades", None), ("Timeline", None), ("Settings", None)]
    assert (buttons(answer), listed_students(answer)) == (["complete"], [("S-2", None), ("S-1", None)])
    assert buttons(client.get(page_of(course, "?tab=waitlist"))) == []


def test_a_user_without_journal_permission_sees_no_timeline(django_user_model, client, course):
    user = django_user_model.objects.create_user("lists", is_staff=True)
    user.user_permissions.add(_permission("view_course"), _permission("view_studentcourse"))
    client.force_login(user)

    answer = client.get(page_of(course, "?tab=timeline"))

    assert (titles(answer), answer.context["tab"]) == ([("Roster", 2), ("Waitlist", 2), ("Settings", None)], "roster")


def test_a_user_without_enrollment_permission_sees_only_the_form(django_user_model, client, course):
    user = django_user_model.objects.create_user("catalog", is_staff=True)
    user.user_permissions.add(_permission("view_course"))
    client.force_login(user)

    assert "tabs" not in client.get(page_of(course)).context
    for address in ("roster.csv", "roster/", "addresses/"):
        assert client.post(f"/admin/courses/course/{course.pk}/{address}").status_code == 403


def test_email_addresses_require_permission_to_view_students(django_user_model, client, course):
    user = django_user_model.objects.create_user("lists", is_staff=True)
    user.user_permissions.add(_permission("view_course"), _permission("view_studentcourse"))
    client.force_login(user)

    assert "data-copy" not in client.get(page_of(course)).content.decode()
    assert client.post(f"/admin/courses/course/{course.pk}/addresses/").status_code == 403
    assert PersonalDataAccess.objects.count() == 0


def _permission(name):
    return Permission.objects.get(codename=name)


def recorded():
    names = ("action", "subject", "door", "actor__username", "course_id")
    return list(PersonalDataAccess.objects.values_list(*names))


def test_exporting_the_roster_as_csv_is_recorded(viewer, client, course):
    client.force_login(viewer)

    answer = client.get(f"/admin/courses/course/{course.pk}/roster.csv")

    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert [(row["student_number"], row["status"], row["waitlist_position"]) for row in rows] == [
        ("S-2", "enrolled", ""),
        ("S-1", "enrolled", ""),
        ("S-3", "waitlisted", "1"),
        ("S-4", "waitlisted", "2"),
    ]
    assert answer["Content-Disposition"] == f'attachment; filename="roster-{course.pk}.csv"'
    assert recorded() == [("exported", "roster", "admin", "viewer", course.pk)]


def test_printing_the_roster_is_recorded(registrar_client, course):
    answer = registrar_client.get(f"/admin/courses/course/{course.pk}/roster/?status=enrolled")

    assert answer.context["rows"] == [("S-2", "Adams, Mary", "enrolled"), ("S-1", "Byron, Ada", "enrolled")]
    assert recorded() == [("exported", "roster", "admin", "registrar", course.pk)]


@pytest.mark.parametrize("address", ["roster.csv", "roster/"])
def test_a_roster_request_that_answers_404_is_not_recorded(registrar_client, course, address):
    of_course = f"/admin/courses/course/{course.pk}/{address}"

    assert registrar_client.get(f"{of_course}?status=x").status_code == 404
    assert registrar_client.get(f"/admin/courses/course/{course.pk + 1}/{address}").status_code == 404
    assert recorded() == []


def test_email_addresses_of_selected_or_all_students_are_recorded(registrar_client, course):
    Student.objects.filter(student_number="S-2").update(email="")
    address = f"/admin/courses/course/{course.pk}/addresses/?status=enrolled"
    elsewhere = make_course()
    [rosa] = enroll_in_order(elsewhere, ("S-9", "Rosa", "Luxemburg"))
    chosen = StudentCourse.objects.filter(student__student_number__in=["S-1", "S-2", "S-9"])

    some = registrar_client.post(address, {"chosen": [row.pk for row in chosen]})
    everybody = registrar_client.post(f"/admin/courses/course/{course.pk}/addresses/")
    searched = registrar_client.post(f"/admin/courses/course/{course.pk}/addresses/?q=grace")

    assert some.content.decode() == "S-1@x.example\n"
    assert everybody.content.decode() == "S-1@x.example\nS-3@x.example\nS-4@x.example\n"
    assert searched.content.decode() == "S-3@x.example\n"
    assert recorded() == [("exported", "roster", "admin", "registrar", course.pk)] * 3
    assert rosa.email not in some.content.decode()


def test_email_addresses_are_not_returned_for_get_or_invalid_selections(registrar_client, course):
    address = f"/admin/courses/course/{course.pk}/addresses/"

    assert registrar_client.get(address).status_code == 405
    assert registrar_client.post(address, {"chosen": ["x", "-1", "9" * 30]}).content == b""


@pytest.mark.parametrize(
    ("seats", "length"),
    [
        (Seats(4, 2, 0), "50.00%"),
        (Seats(4, 4, 4), "100.00%"),
        (Seats(3, 4, 0), "100.00%"),
        (Seats(None, 5, 0), ""),
        (Seats(0, 0, 0), "100.00%"),
    ],
)
def test_the_seat_bar_is_the_capacity_and_a_course_without_a_limit_has_none(seats, length):
    assert seat_bar(seats).length == length


@pytest.mark.parametrize("query", ["", "?tab=waitlist", "?tab=timeline", "?q=a"])
def test_a_large_course_costs_the_queries_of_a_small_one(registrar_client, course, query):
    registrar_client.get(page_of(course, query))
    with CaptureQueriesContext(connection) as small:
        registrar_client.get(page_of(course, query))
    course.capacity = 100
    course.save()
    Student.objects.bulk_create(
        Student(student_number=f"L-{n}", given_name="A", family_name=f"{n:04}") for n in range(150)
    )
    wishes = [
        EnrollmentCommand(Action.ENROLL, student.pk, course.pk, on_full=OnFull.WAITLIST)
        for student in Student.objects.filter(student_number__startswith="L-")
    ]
    execute(wishes, ActorContext(Channel.SYSTEM))

    with CaptureQueriesContext(connection) as large:
        answer = registrar_client.get(page_of(course, query))

    assert answer.status_code == 200
    assert cost_of(large) == cost_of(small)
    assert cost_of(large) < 15


def test_a_long_roster_is_paginated(registrar_client, course, monkeypatch):
    monkeypatch.setattr("students.admin.pages.course.ROWS_PER_PAGE", 1)

    first, last = registrar_client.get(page_of(course)), registrar_client.get(page_of(course, "?page=2"))

    assert (listed_students(first), listed_students(last)) == ([("S-2", None)], [("S-1", None)])
    assert 'rel="next"' in first.content.decode()
    assert 'rel="next"' not in last.content.decode()


def suggested_courses(desk, term):
    query = {"app_label": "students", "model_name": "studentcourse", "field_name": "course", "term": term}
    return [each["text"].split()[0] for each in desk.get("/admin/autocomplete/", query).json()["results"]]


def test_courses_of_the_running_and_coming_terms_are_suggested_first_and_closed_ones_last(registrar_client):
    today = timezone.localdate()
    terms = {
        code: make_term(code=code, starts_on=today + timedelta(days=start), ends_on=today + timedelta(days=start + 50))
        for code, start in (("OLD", -400), ("PAST", -90), ("NOW", -10), ("NEXT", 60), ("LATER", 200))
    }
    for term in terms.values():
        make_course(code="ART-1", term=term)
    make_course(code="ART-2", term=terms["NOW"], is_active=False)
    make_course(code="ART-3", term=terms["NOW"], enrollment_closes_at=timezone.now() - timedelta(days=1))
    make_course(code="ART-4", term=None)

    assert suggested_courses(registrar_client, "ART") == [
        *("ART-1@NOW", "ART-1@NEXT", "ART-1@LATER", "ART-4"),
        *("ART-2@NOW", "ART-3@NOW", "ART-1@PAST", "ART-1@OLD"),
    ]
    assert [row.code for row in registrar_client.get("/admin/courses/course/?q=ART").context["cl"].result_list] == [
        *["ART-1"] * 5,
        *("ART-2", "ART-3", "ART-4"),
    ]


def test_rows_of_the_roster_and_the_waitlist_offer_the_possible_actions(registrar_client, course):
    offered = {
        tab: [
            [action.title for action in row.row_actions]
            for row in registrar_client.get(page_of(course, f"?tab={tab}")).context["rows"]
        ]
        for tab in ("roster", "waitlist")
    }

    assert offered == {"roster": [["Complete", "Drop"]] * 2, "waitlist": [["Give a seat now", "Drop"]] * 2}
