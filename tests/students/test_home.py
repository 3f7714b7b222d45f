"""The dashboard of the admin: its numbers equal those of the linked lists and respect the user's permissions."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.utils import timezone

from courses.models import CourseStaff
from students.enrollment import enroll
from students.enrollment.commands import OnFull
from students.models import RefusedAct
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db


@pytest.fixture
def fall(actor):
    """Courses of one term: full with a waitlist, over capacity, without a limit, inactive; and one without a term."""
    term = make_term(code="2026F", starts_on="2026-01-01", ends_on="2099-01-31")
    full = make_course(term=term, capacity=2, waitlist_capacity=5)
    over = make_course(term=term, capacity=2, level="graduate")
    for course in (full, over, make_course(capacity=4), make_course(term=term, is_active=True)):
        for _ in range(2):
            enroll(student_id=make_student().pk, course_id=course.pk, actor=actor)
    enroll(student_id=make_student().pk, course_id=full.pk, actor=actor, on_full=OnFull.WAITLIST)
    over.capacity = 1
    over.save()
    make_course(term=term, is_active=False, capacity=50)
    return term


def home(client, **query):
    return client.get("/admin/", query).context["dashboard"]


def listed(client, link):
    return client.get(link).context["cl"].result_count


def test_every_number_equals_the_count_of_the_linked_list(registrar_client, fall):
    shown = home(registrar_client)
    told = {card.label: card for card in [*shown["stats"], *shown["alerts"]]}

    assert {label: card.number for label, card in told.items()} == {
        "enrolled": 6,
        "free seats": 0,
        "waitlisted": 1,
        "full courses": 2,
        "imports need review": 0,
        "imports with errors in the last 7 days": 0,
        "course over its capacity": 1,
        "waitlists with free seats": 0,
        "students refused today": 0,
    }
    for label, card in told.items():
        expected = {"free seats": 1}.get(label, card.number)  # the list includes the course without a limit
        assert (label, listed(registrar_client, card.link)) == (label, expected)
    for row in shown["rows"]:
        numbers = (row.seats.courses, row.seats.taken, row.seats.waiting)
        assert numbers == tuple(listed(registrar_client, row.links[name]) for name in ("courses", "taken", "waiting"))
    assert [bar.label.split(": ")[1] for bar in shown["chart"]["bars"] if bar.enrolled_height != "0.00"] == [
        "6 enrolled, 0 dropped or withdrawn"
    ]
    assert listed(registrar_client, shown["chart"]["days"][0]["enrolled_url"]) == 6


def test_refusal_reasons_of_today_link_to_their_refusals(registrar_client, fall):
    for codes in ("course_full", "course_full student_inactive", "enrollment_closed"):
        RefusedAct.objects.create(
            day=timezone.localdate(), student=make_student(), course=make_course(), channel="api", codes=codes
        )

    reasons = home(registrar_client)["reasons"]

    assert [(reason.label, reason.number) for reason in reasons] == [
        ("Course is full", 2),
        ("Enrollment is closed", 1),
        ("Student is not active", 1),
    ]
    assert [listed(registrar_client, reason.link) for reason in reasons] == [2, 1, 1]


def test_another_term_can_be_selected_and_an_invalid_one_is_ignored(registrar_client, fall):
    spring = make_term(code="2099S", starts_on="2099-02-01", ends_on="2099-07-31")

    assert home(registrar_client, term=spring.pk)["term"] == spring
    assert [home(registrar_client, term=text)["term"] for text in ("x", "999", "", "9" * 30)] == [fall] * 4


def test_only_numbers_that_need_attention_are_shown(registrar_client, fall):
    page = registrar_client.get("/admin/").content.decode()

    assert page.count('class="home-need"') == 1
    fall.courses.all().update(capacity=None, waitlist_capacity=0)
    page = registrar_client.get("/admin/").content.decode()
    assert (page.count('class="home-need"'), "Nothing needs attention." in page) == (1, False)  # the waitlist


def test_nothing_that_needs_attention_is_one_line(registrar_client):
    page = registrar_client.get("/admin/").content.decode()

    assert (page.count('class="home-need"'), page.count("Nothing needs attention.")) == (0, 1)


def test_the_chart_has_axes_and_leaves_out_long_runs_of_empty_days(registrar_client, fall, actor):
    course = make_course(term=fall)
    for back in (100, 99, 60, 2):
        actor = replace(actor, at=timezone.now() - timedelta(days=back))
        enroll(student_id=make_student().pk, course_id=course.pk, actor=actor)

    chart = home(registrar_client)["chart"]

    assert [bar.label.split(": ")[1].split(" ")[0] for bar in chart["bars"]] == ["1", "1", "1", "1", "0", "6"]
    assert [tick.label for tick in chart["scale"]] == ["6", "0"]
    assert len(chart["dates"]) > 1
    assert chart["enrolled_count"] == 10


def test_the_dashboard_works_without_any_data(registrar_client):
    shown = home(registrar_client)

    assert (shown["term"], shown["rows"], shown["fullest"], shown["chart"]) == (None, [], [], None)


def test_users_see_only_statistics_of_data_that_they_can_view(client, fall):
    user = User.objects.create_user("guide", is_staff=True)
    client.force_login(user)
    assert (home(client)["alerts"], "stats" in home(client)) == ([], False)

    user.user_permissions.add(Permission.objects.get(codename="view_import"))

    assert [card.icon for card in home(client)["alerts"]] == ["approval", "report"]


@pytest.mark.parametrize("size", [1, 30])
def test_the_query_count_of_the_dashboard_does_not_depend_on_the_data(
    registrar_client, fall, actor, size, django_assert_num_queries
):
    for _ in range(size):
        enroll(student_id=make_student().pk, course_id=make_course(term=fall, capacity=1).pk, actor=actor)

    registrar_client.get("/admin/password_change/")  # the first page of a session stores its start time

    with django_assert_num_queries(12):
        registrar_client.get("/admin/")


def test_course_staff_see_statistics_of_their_own_courses_only(client, registrar, fall, actor):
    teacher = User.objects.create_user("teacher", is_staff=True)
    teacher.groups.add(Group.objects.get(name="Course staff"))
    teacher.user_permissions.add(Permission.objects.get(codename="view_refusedact"))
    own, other = make_course(term=fall, capacity=9), make_course(term=fall, capacity=9)
    CourseStaff.objects.create(course=own, user=teacher)
    enroll(student_id=make_student().pk, course_id=own.pk, actor=actor)
    for course in (own, other):
        RefusedAct.objects.create(
            day=timezone.localdate(), student=make_student(), course=course, channel="api", codes="course_full"
        )
    client.force_login(teacher)

    shown = home(client)

    assert [(card.label, card.number) for card in [*shown["stats"], *shown["alerts"]]] == [
        ("enrolled", 1),
        ("free seats", 8),
        ("waitlisted", 0),
        ("full courses", 0),
        ("courses over their capacity", 0),
        ("waitlists with free seats", 0),
        ("student refused today", 1),
    ]
    assert [course.id for course, _link in shown["fullest"]] == [own.pk]
    assert shown["chart"]["enrolled_count"] == 1
