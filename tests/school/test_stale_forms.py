"""Stale admin forms: a form whose row has changed since it was opened does not overwrite the row."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test import Client
from django.utils import translation

from courses.api_client_creation import create_api_client
from courses.models import Course, CourseStaff, Term
from school.models import ApiClient
from school.refusals import version_conflict
from students.enrollment import enroll
from students.models import Student
from tests.support.factories import make_course, make_grade, make_student, make_term
from tests.support.forms import form_in
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db

SENTENCE = "The object has changed since you read it. Read it again."


def page_of(row, query="?tab=form"):
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/change/{query}"


def form_values_of(client, address):
    """Open a page and return the values that its form would submit."""
    return form_in(client.get(address))


def errors(page):
    if page.context is None:  # it was saved
        return []
    formsets = [each.formset for each in page.context.get("inline_admin_formsets") or []]
    found = [page.context["adminform"].form.non_field_errors(), *(each.non_form_errors() for each in formsets)]
    return [str(error) for each in found for error in each]


@pytest.fixture
def superuser_client(admin_client):
    return admin_client


def test_a_stale_form_is_refused_names_the_changes_and_keeps_typed_values(registrar_client):
    course = make_course(code="MATH-1", name="Algebra", capacity=30)
    first, second = (form_values_of(registrar_client, page_of(course)) for _tab in range(2))

    saved = registrar_client.post(page_of(course), {**first, "capacity": "45", "level": "advanced"})
    refused = registrar_client.post(page_of(course), {**second, "name": "Linear algebra"})

    course.refresh_from_db()
    assert saved.status_code == 302
    assert (course.name, course.capacity, course.level) == ("Algebra", 45, "advanced")
    assert errors(refused) == [SENTENCE, "Level is now: advanced", "Capacity is now: 45"]
    assert form_in(refused)["name"] == "Linear algebra"
    assert form_in(refused)["capacity"] == "30"


def test_the_page_of_a_form_with_errors_renders_the_saved_row(registrar_client):
    course = make_course(code="MATH-1", name="Algebra", capacity=30)
    form = form_values_of(registrar_client, page_of(course))
    Course.objects.update(capacity=45)

    outdated = registrar_client.post(page_of(course), {**form, "name": "Typed", "capacity": "20"})
    wrong = registrar_client.post(page_of(course), {**form_in(outdated), "level": "none"})

    for page in (outdated, wrong):
        assert page.context["subtitle"] == "MATH-1 Algebra"
        assert (page.context["original"].capacity, page.context["original"].name) == (45, "Algebra")
        assert "<strong>45</strong> free" in page.content.decode()
        assert (form_in(page)["name"], form_in(page)["capacity"]) == ("Typed", "20")


def test_a_refused_form_is_saved_when_it_is_submitted_again(registrar_client):
    course = make_course(capacity=30)
    second = form_values_of(registrar_client, page_of(course))
    Course.objects.update(capacity=45)

    refused = registrar_client.post(page_of(course), {**second, "name": "New"})
    again = registrar_client.post(page_of(course), {**form_in(refused), "capacity": "45"})

    course.refresh_from_db()
    assert again.status_code == 302
    assert (course.name, course.capacity) == ("New", 45)


def test_a_resubmitted_form_is_refused_when_the_row_has_changed_again(registrar_client):
    course = make_course(capacity=30)
    second = form_values_of(registrar_client, page_of(course))
    Course.objects.update(capacity=45)
    refused = registrar_client.post(page_of(course), {**second, "name": "New"})
    Course.objects.update(is_active=False)

    again = registrar_client.post(page_of(course), form_in(refused))

    assert errors(again) == [SENTENCE, "Active is now: No"]
    assert Course.objects.get().name == "A course"


def test_a_field_error_does_not_hide_that_the_form_is_stale(registrar_client):
    student = make_student(email="a@example.edu")
    form = form_values_of(registrar_client, page_of(student))
    Student.objects.update(email="b@example.edu")

    page = registrar_client.post(page_of(student), {**form, "student_number": "", "email": "no address"})

    assert errors(page) == [SENTENCE, "Email is now: b@example.edu"]
    assert set(page.context["adminform"].form.errors) == {"__all__", "student_number", "email"}


def test_the_same_form_submitted_twice_is_saved(registrar_client):
    course = make_course(capacity=30)
    form = {**form_values_of(registrar_client, page_of(course)), "capacity": "45"}

    answers = [registrar_client.post(page_of(course), form).status_code for _click in range(2)]

    assert answers == [302, 302]
    assert Course.objects.get().capacity == 45


def test_a_change_outside_the_form_fields_does_not_make_the_form_stale(registrar_client, actor):
    course, student = make_course(capacity=30), make_student()
    form = form_values_of(registrar_client, page_of(course))
    enroll(student_id=student.pk, course_id=course.pk, actor=actor)

    assert registrar_client.post(page_of(course), {**form, "capacity": "45"}).status_code == 302
    assert Course.objects.get().capacity == 45


def test_a_form_without_a_version_is_saved(registrar_client):
    """Such a form comes from a script, or from a page that was open during an upgrade."""
    student = make_student()
    form = {
        name: text for name, text in form_values_of(registrar_client, page_of(student)).items() if name != "as_read"
    }

    assert registrar_client.post(page_of(student), {**form, "given_name": "Grace"}).status_code == 302
    assert Student.objects.get().given_name == "Grace"


@pytest.mark.parametrize("text", ["", "x", "x:y", ":::", "\u0663", "capacity:", "a" * 5_000])
def test_a_form_with_a_tampered_version_is_stale(registrar_client, text):
    term = make_term(name="A term")
    form = form_values_of(registrar_client, page_of(term))

    page = registrar_client.post(page_of(term), {**form, "as_read": text, "name": "New"})

    assert errors(page)[:3] == [SENTENCE, f"Code is now: {term.code}", "Name is now: A term"]
    assert Term.objects.get().name == "A term"


@pytest.mark.parametrize("button", ["_save", "_continue", "_addanother"])
@pytest.mark.parametrize("query", ["", "?tab=form", "?tab=roster", "?_popup=1", "?_changelist_filters=q%3Da"])
def test_a_stale_form_is_refused_for_every_button_and_query(registrar_client, button, query):
    course = make_course(capacity=30)
    form = form_values_of(registrar_client, page_of(course))
    Course.objects.update(capacity=45)

    page = registrar_client.post(page_of(course, query), {**form, "name": "New", button: "1"})

    assert errors(page) == [SENTENCE, "Capacity is now: 45"]
    assert Course.objects.get().name == "A course"


def test_restoring_an_earlier_version_does_not_overwrite_a_newer_change(registrar_client):
    student = make_student(given_name="Ada")
    version = student.history.latest().pk
    student.given_name = "Augusta"
    student.save()
    address = f"/admin/students/student/{student.pk}/history/{version}/"
    form = form_values_of(registrar_client, address)
    Student.objects.update(email="new@example.edu")

    refused = registrar_client.post(address, form)
    again = registrar_client.post(address, form_in(refused))

    assert errors(refused) == [SENTENCE, "Email is now: new@example.edu"]
    assert again.status_code == 302
    assert (Student.objects.get().given_name, Student.objects.get().email) == ("Ada", student.email)


def test_a_non_field_error_does_not_hide_that_the_form_is_stale(registrar_client):
    course = make_course(capacity=30)
    form = form_values_of(registrar_client, page_of(course))
    Course.objects.update(capacity=45)

    page = registrar_client.post(page_of(course), {**form, "prerequisites": "NO-1"})

    assert errors(page) == [SENTENCE, "Capacity is now: 45"]


def test_changed_values_are_named_by_their_display_values(registrar_client):
    term, other = make_term(code="T-1"), make_term(code="T-2")
    make_course(code="A-1")
    make_course(code="B-2")
    course = make_course(term=term, capacity=1, prerequisites=["A-1"], enrollment_opens_at="2026-01-01T08:00Z")
    form = form_values_of(registrar_client, page_of(course))
    Course.objects.filter(pk=course.pk).update(
        term=other,
        capacity=None,
        prerequisites=["A-1", "B-2"],
        enrollment_opens_at="2026-02-01T08:00Z",
        level="graduate",
    )

    page = registrar_client.post(page_of(course), {**form, "name": "New"})

    assert errors(page) == [
        SENTENCE,
        "Term is now: T-2",
        "Level is now: graduate",
        "Capacity is now: empty",
        "Enrollment opens at is now: Feb. 1, 2026, 8 a.m.",
        "Prerequisites is now: A-1, B-2",
    ]


def test_inline_rows_are_compared_as_well(superuser_client):
    user, course = User.objects.create_user("teacher", is_staff=True), make_course(code="MATH-1")
    form = form_values_of(superuser_client, page_of(user))
    CourseStaff.objects.create(course=course, user=user)
    rows = {"staff_of-TOTAL_FORMS": "1", "staff_of-0-course": make_course().pk, "staff_of-0-user": user.pk}

    page = superuser_client.post(page_of(user), {**form, **rows})

    assert errors(page) == [SENTENCE, f"Course staff is now: {CourseStaff.objects.get()}"]


# Every form of the admin


@pytest.fixture
def editable_rows(db):
    """Return a row of each model with a form in the admin, and a change of it by another user."""
    client = ApiClient.objects.get(client_id=create_api_client("program", "students:read").client_id)
    group = Group.objects.create(name="Group")
    endpoint = Endpoint.objects.create(url="https://hook.example/", kinds=["enrollments"])
    return {
        "auth.Group": (group, {"name": "Other"}),
        "auth.User": (User.objects.create_user("somebody"), {"first_name": "Other"}),
        "courses.Course": (make_course(), {"name": "Other"}),
        "courses.Grade": (make_grade(), {"code": "Other"}),
        "courses.Term": (make_term(), {"name": "Other"}),
        "school.ApiClient": (client, {"name": "Other"}),
        "students.Student": (make_student(), {"given_name": "Other"}),
        "webhooks.Endpoint": (endpoint, {"description": "Other"}),
    }


UNEDITED = {  # models of libraries and records that have no form to save, or hold secrets that no user edits
    *("oauth2_provider.AccessToken", "oauth2_provider.Grant", "oauth2_provider.IDToken"),
    "oauth2_provider.RefreshToken",
}


def test_every_admin_form_is_refused_when_it_is_stale(editable_rows, superuser_client, rf):
    request = rf.get("/")
    request.user = User.objects.get(username="admin")
    edited = {
        model._meta.label for model, each in admin.site._registry.items() if each.has_change_permission(request)
    } - UNEDITED
    wrong = {}
    for label, (row, change) in editable_rows.items():
        form = form_values_of(superuser_client, page_of(row))
        type(row).objects.filter(pk=row.pk).update(**change)
        field = next(iter(change))
        page = superuser_client.post(page_of(row), {**form, field: "Typed"})
        row.refresh_from_db()
        wrong[label] = (page.status_code, errors(page)[:1], getattr(row, field))

    assert wrong == {label: (200, [SENTENCE], "Other") for label in editable_rows}
    assert edited - {"bulk.Import"} == set(editable_rows)  # an import has actions, and no form


@pytest.mark.parametrize("language", ["de", "es"])
def test_the_refusal_of_a_stale_form_is_in_the_language_of_the_page(registrar_client, language):
    course = make_course(capacity=30)
    form = form_values_of(registrar_client, page_of(course))
    Course.objects.update(capacity=45)

    page = registrar_client.post(page_of(course), {**form, "name": "New"}, headers={"Accept-Language": language})

    with translation.override(language):
        assert errors(page)[0] == version_conflict().message
    assert errors(page)[0] != SENTENCE


# Concurrent saves


def count_waiting_for_locks():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="a race is only proved on PostgreSQL")
@pytest.mark.parametrize("make", [make_course, make_student, make_term], ids=["course", "student", "term"])
def test_a_save_that_waits_for_a_lock_sees_the_committed_change(registrar, make):
    client, row = Client(), make()
    client.force_login(registrar)
    field = "given_name" if make is make_student else "name"
    form = form_values_of(client, page_of(row))

    def save():
        try:
            return errors(client.post(page_of(row), {**form, field: "Second"}))
        finally:
            connection.close()

    with ThreadPoolExecutor() as pool:
        with transaction.atomic():
            type(row).objects.filter(pk=row.pk).update(**{field: "First"})
            second = pool.submit(save)
            deadline = monotonic() + 30
            while not count_waiting_for_locks() and monotonic() < deadline:
                sleep(0.01)
            assert count_waiting_for_locks() == 1
        found = second.result()

    row.refresh_from_db()
    assert found[:1] == [SENTENCE]
    assert getattr(row, field) == "First"
