"""The first page of the admin: its numbers are those of the lists they lead to, and it shows what one may see."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.utils import timezone

from courses.models import CourseStaff
from students.enrollment import enroll
from students.enrollment.commands import OnFull
from students.models import RefusedAct
from tests.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(origin):
    """A course that is full and waited for, one that is over, one without a term, one that is not active."""
    term = make_term(code="2026F", starts_on="2026-01-01", ends_on="2099-01-31")
    full = make_course(term=term, capacity=2, waitlist_capacity=5)
    over = make_course(term=term, capacity=2, level="graduate")
    for course in (full, over, make_course(capacity=4), make_course(term=term, is_active=True)):
        for _ in range(2):
            enroll(student_id=make_student().pk, course_id=course.pk, origin=origin)
    enroll(student_id=make_student().pk, course_id=full.pk, origin=origin, on_full=OnFull.WAITLIST)
    over.capacity = 1
    over.save()
    make_course(term=term, is_active=False, capacity=50)
    return term


def home(client, **query):
    return client.get("/admin/", query).context["home"]


def listed(client, link):
    return client.get(link).context["cl"].result_count


def test_every_number_is_that_of_the_list_behind_it(registrars_desk, world):
    shown = home(registrars_desk)
    told = {figure.label: figure for figure in [*shown["figures"], *shown["needs"]]}

    assert {label: figure.number for label, figure in told.items()} == {
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
    for label, figure in told.items():
        expected = {"free seats": 1}.get(label, figure.number)  # the course without a limit is in the list
        assert (label, listed(registrars_desk, figure.link)) == (label, expected)
    for row in shown["rows"]:
        numbers = (row.seats.courses, row.seats.taken, row.seats.waiting)
        assert numbers == tuple(listed(registrars_desk, row.links[name]) for name in ("courses", "taken", "waiting"))
    assert [bar.told.split(": ")[1] for bar in shown["chart"]["bars"] if bar.came_high != "0.00"] == [
        "6 enrolled, 0 dropped or withdrawn"
    ]
    assert listed(registrars_desk, shown["chart"]["days"][0]["came"]) == 6


def test_reasons_are_those_of_today_and_lead_to_their_refusals(registrars_desk, world):
    for codes in ("course_full", "course_full student_inactive", "enrollment_closed"):
        RefusedAct.objects.create(
            day=timezone.localdate(), student=make_student(), course=make_course(), channel="api", codes=codes
        )

    reasons = home(registrars_desk)["reasons"]

    assert [(reason.label, reason.number) for reason in reasons] == [
        ("Course is full", 2),
        ("Student is not active", 1),
        ("Enrollment is closed", 1),
    ]
    assert [listed(registrars_desk, reason.link) for reason in reasons] == [2, 1, 1]


def test_another_term_can_be_chosen_and_nonsense_is_none(registrars_desk, world):
    spring = make_term(code="2099S", starts_on="2099-02-01", ends_on="2099-07-31")

    assert home(registrars_desk, term=spring.pk)["term"] == spring
    assert [home(registrars_desk, term=text)["term"] for text in ("x", "999", "", "9" * 30)] == [world] * 4


def test_an_empty_school_has_a_home(registrars_desk):
    shown = home(registrars_desk)

    assert (shown["term"], shown["rows"], shown["fullest"], shown["chart"]) == (None, [], [], None)


def test_one_sees_the_figures_of_what_one_may_see(client, world):
    user = User.objects.create_user("guide", is_staff=True)
    client.force_login(user)
    assert (home(client)["needs"], "figures" in home(client)) == ([], False)

    user.user_permissions.add(Permission.objects.get(codename="view_import"))

    assert [figure.icon for figure in home(client)["needs"]] == ["approval", "report"]


@pytest.mark.parametrize("size", [1, 30])
def test_home_costs_the_same_however_much_there_is(registrars_desk, world, origin, size, django_assert_num_queries):
    for _ in range(size):
        enroll(student_id=make_student().pk, course_id=make_course(term=world, capacity=1).pk, origin=origin)

    registrars_desk.get("/admin/password_change/")  # the first page of a session notes when it began

    with django_assert_num_queries(12):
        registrars_desk.get("/admin/")


def test_course_staff_see_the_figures_of_their_own_courses(client, registrar, world, origin):
    teacher = User.objects.create_user("teacher", is_staff=True)
    teacher.groups.add(Group.objects.get(name="Course staff"))
    teacher.user_permissions.add(Permission.objects.get(codename="view_refusedact"))
    own, other = make_course(term=world, capacity=9), make_course(term=world, capacity=9)
    CourseStaff.objects.create(course=own, user=teacher)
    enroll(student_id=make_student().pk, course_id=own.pk, origin=origin)
    for course in (own, other):
        RefusedAct.objects.create(
            day=timezone.localdate(), student=make_student(), course=course, channel="api", codes="course_full"
        )
    client.force_login(teacher)

    shown = home(client)

    assert [(figure.label, figure.number) for figure in [*shown["figures"], *shown["needs"]]] == [
        ("enrolled", 1),
        ("free seats", 8),
        ("waitlisted", 0),
        ("full courses", 0),
        ("courses over their capacity", 0),
        ("waitlists with free seats", 0),
        ("student refused today", 1),
    ]
    assert [offer.id for offer, _link in shown["fullest"]] == [own.pk]
    assert shown["chart"]["came"] == 1
