"""The courses of a term are copied to another term as an import."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from bulk.jobs.import_actions import approve
from bulk.jobs.processing import process_import
from bulk.models import Import, State
from courses.exports import COURSES
from courses.imports import CourseImporter
from courses.models import Course, CourseStaff
from tests.support.factories import make_course, make_term
from tests.support.imports import imported, outcomes, worked_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def terms():
    return make_term(code="2026F"), make_term(code="2027F")


@pytest.fixture
def courses(terms):
    source, _target = terms
    teacher = User.objects.create_user("teacher", is_staff=True)
    first = make_course(
        code="MATH-1",
        term=source,
        capacity=30,
        waitlist_capacity=None,
        level="advanced",
        enrollment_opens_at=datetime(2026, 8, 1, 9, tzinfo=UTC),
        enrollment_closes_at=datetime(2026, 9, 1, 9, tzinfo=UTC),
    )
    second = make_course(code="MATH-2", term=source, prerequisites=["MATH-1"], is_active=False)
    CourseStaff.objects.create(course=first, user=teacher)
    return first, second


def copy(*options, source="2026F", target="2027F"):
    output = StringIO()
    call_command("copy_courses", "--from", source, "--to", target, *options, stdout=output, stderr=StringIO())
    return output.getvalue()


def copies(target):
    return list(Course.objects.filter(term=target).order_by("code"))


def test_every_column_of_the_import_is_copied(terms, courses):
    _source, target = terms

    copy()

    for original, made in zip(courses, copies(target), strict=True):
        assert made.code == original.code
        assert {name: getattr(made, name) for name in CourseImporter.fields} == {
            name: getattr(original, name) for name in CourseImporter.fields
        }
    assert set(CourseImporter.fields) <= set(COURSES.columns)
    assert not CourseStaff.objects.filter(course__term=target).exists()


def test_days_and_times_move_and_keep_their_hour(terms, courses, settings):
    settings.TIME_ZONE = "Europe/Berlin"  # summer time ends in between
    _source, target = terms

    copy("--shift-days", "120")

    first = copies(target)[0]
    assert first.enrollment_opens_at == datetime(2026, 11, 29, 10, tzinfo=UTC)
    assert first.enrollment_closes_at == datetime(2026, 12, 30, 10, tzinfo=UTC)


def test_the_staff_is_copied_on_request(terms, courses):
    _source, target = terms

    copy("--with-staff")

    staff = CourseStaff.objects.filter(course__term=target).values_list("course__code", "user__username")
    assert list(staff) == [("MATH-1", "teacher")]


def test_users_who_are_no_active_staff_any_more_are_left_out(terms, courses):
    _source, target = terms
    for name, is_staff, is_active in [("former", False, True), ("gone", True, False)]:
        user = User.objects.create(username=name, is_staff=is_staff, is_active=is_active)
        CourseStaff.objects.create(course=courses[0], user=user)

    copy("--with-staff")

    staff = CourseStaff.objects.filter(course__term=target).values_list("course__code", "user__username")
    assert list(staff) == [("MATH-1", "teacher")]


def test_a_second_copy_changes_nothing(terms, courses):
    _source, target = terms
    copy("--with-staff")
    Course.objects.filter(term=target, code="MATH-1").update(name="Changed since")
    versions = Course.history.count()

    again = copy("--with-staff")

    assert again == "2027F has all courses of 2026F already. Nothing to copy.\n"
    assert (Import.objects.count(), Course.history.count()) == (1, versions)
    assert copies(target)[0].name == "Changed since"


def test_a_course_that_the_term_has_already_is_left_out(terms, courses):
    _source, target = terms
    make_course(code="MATH-2", term=target, name="Another")

    copy()

    assert [(each.code, each.name) for each in copies(target)] == [("MATH-1", "A course"), ("MATH-2", "Another")]


def test_a_dry_run_shows_the_copies_and_makes_none(terms, courses):
    _source, target = terms

    assert "2 would be created" in copy("--dry-run")
    assert copies(target) == []


def test_the_copy_is_listed_and_undone_as_an_import(terms, courses):
    _source, target = terms
    copy("--with-staff")
    job = Import.objects.get()
    listed = StringIO()
    call_command("list_imports", stdout=listed)

    call_command("undo_import", str(job.pk), stdout=StringIO(), stderr=StringIO())

    assert "copy-2027F" in listed.getvalue()
    assert (copies(target), CourseStaff.objects.filter(course__term=target).count()) == ([], 0)
    assert CourseStaff.objects.count() == 1
    copy()
    assert len(copies(target)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "NONE"}, "There is no term NONE"),
        ({"target": "NONE"}, "There is no term NONE"),
        ({"target": "2026F"}, "Give two different terms"),
    ],
)
def test_an_impossible_copy_is_refused(terms, courses, options, message):
    with pytest.raises(CommandError, match=message):
        copy(**options)


def test_too_many_days_are_refused(terms, courses):
    with pytest.raises(CommandError, match="Give at most 3660 days"):
        copy("--shift-days", "3661")


def test_a_user_without_permission_cannot_assign_staff(terms, courses):
    _source, target = terms
    User.objects.create_user("clerk", is_staff=True)

    with pytest.raises(CommandError, match="1 of 2 rows have errors"):
        copy("--with-staff", "--actor", "clerk")

    assert copies(target) == []


def test_the_admin_submits_the_copy_and_shows_its_preview(registrar_client, terms, courses):
    source, target = terms
    address = f"/admin/courses/term/{source.pk}/copy-courses/"

    page = registrar_client.get(address)
    answer = registrar_client.post(address, {"to": target.pk, "shift_days": "0", "with_staff": "on"})
    job = Import.objects.get()
    process_import(job.pk)

    job.refresh_from_db()
    assert page.status_code == 200
    assert (answer.status_code, answer.url) == (302, f"/admin/bulk/import/{job.pk}/change/")
    assert (job.state, job.counts, copies(target)) == (State.NEEDS_REVIEW, {"created": 2}, [])
    approve(job.pk)
    process_import(job.pk)
    assert [each.code for each in copies(target)] == ["MATH-1", "MATH-2"]
    assert CourseStaff.objects.filter(course__term=target).count() == 1
    again = registrar_client.post(address, {"to": target.pk, "shift_days": "0"}, follow=True)
    assert [str(each) for each in again.context["messages"]] == ["2027F has all these courses already."]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"to": "x"}, "to"), ({"shift_days": "many"}, "shift_days"), ({"shift_days": "99999"}, "shift_days"), ({}, "to")],
)
def test_the_admin_refuses_bad_input(registrar_client, terms, courses, body, field):
    source, _target = terms

    page = registrar_client.post(f"/admin/courses/term/{source.pk}/copy-courses/", {"shift_days": "0", **body})

    assert page.status_code == 200
    assert field in page.context["form"].errors
    assert not Import.objects.exists()


def test_an_api_client_cannot_assign_staff_by_a_file(api, terms):
    User.objects.create_user("teacher", is_staff=True)
    file = b"course_code,name,level,staff\nC-1,Calculus,advanced,teacher\n"

    answer = api.post("/api/v1/imports?kind=courses&review=needed", file, content_type="text/csv")

    job = worked_on(Import.objects.get(pk=answer.json()["id"]))
    assert outcomes(job) == [(2, "error", ["staff_not_allowed"])]
    assert not Course.objects.exists()


def test_staff_of_a_file_are_active_staff_users(terms):
    User.objects.create_user("teacher", is_staff=True)
    User.objects.create_user("gone", is_staff=True, is_active=False)
    User.objects.create_user("other")
    file = "course_code,name,level,staff\nC-1,A,advanced,teacher\nC-2,B,advanced,teacher gone other nobody\n"

    job = imported(file, kind="courses", rights=("staff",), on_error="skip")

    assert outcomes(job) == [(2, "created", []), (3, "error", ["user_not_found"])]
    assert list(CourseStaff.objects.values_list("course__code", "user__username")) == [("C-1", "teacher")]
