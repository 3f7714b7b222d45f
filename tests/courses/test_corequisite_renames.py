"""No course is its own corequisite, or has a corequisite twice, whichever entry point gives a course another code."""

import pytest
from django.conf import settings

from courses.api_client_creation import create_api_client
from courses.models import Course
from school.models import ApiClient
from tests.security.test_access import bearer
from tests.support.factories import make_course, make_term
from tests.support.imports import fault_of_row, uploaded

pytestmark = pytest.mark.django_db


@pytest.fixture
def lab():
    """A course that requires LECTURE."""
    make_course(code="LECTURE")
    return make_course(code="LAB", term=make_term(), corequisites=["LECTURE"])


def corequisites_of(code):
    return list(Course.objects.filter(code=code).order_by("pk").values_list("corequisites", flat=True))


def patch(api, desk, course, code):
    return _errors(api.patch(f"/api/v1/courses/{course.pk}", {"code": code, "section": "Z"}))


def put(api, desk, course, code):
    url = f"/api/v1/courses/{course.pk}"
    return _errors(api.put(url, {"code": code, "name": course.name, "level": course.level, "section": "Z"}))


def put_all(api, desk, course, code):
    url = f"/api/v1/courses/{course.pk}"
    return _errors(api.put(url, {**api.get(url).json(), "code": code, "section": "Z"}))


def change_form(api, desk, course, code, ending="change/"):
    form = {"code": code, "section": "Z", "name": course.name, "level": course.level, "waitlist_capacity": 0}
    form |= {"term": course.term_id or "", "is_active": "on", "corequisites": ", ".join(course.corequisites)}
    page = desk.post(f"/admin/courses/course/{course.pk}/{ending}", form)
    if page.status_code == 302:
        return []
    return [(each.code, field) for field, them in page.context["adminform"].errors.as_data().items() for each in them]


def restore_form(api, desk, course, code):
    """Restore the version of the course from before it got its present code."""
    Course.objects.get(pk=course.pk).save()
    version = course.history.first()
    type(version).objects.filter(pk=version.pk).update(code=code)
    return change_form(api, desk, course, code, f"history/{version.pk}/")


def _errors(answer):
    if answer.status_code == 200:
        return []
    assert answer.status_code == 400
    return [(each["code"], each["field"]) for each in answer.json()["errors"]]


each_rename = pytest.mark.parametrize("rename", [patch, put, put_all, change_form, restore_form])


@each_rename
def test_a_course_does_not_become_its_own_corequisite_by_a_new_code(rename, lab, api, registrar_client):
    assert rename(api, registrar_client, lab, "LECTURE") == [("invalid", "corequisites")]

    assert (corequisites_of("LAB"), corequisites_of("LECTURE")) == ([["LECTURE"]], [[]])


@each_rename
def test_a_course_does_not_become_its_own_corequisite_by_the_new_code_of_another(rename, lab, api, registrar_client):
    lecture = Course.objects.get(code="LECTURE")

    assert rename(api, registrar_client, lecture, "LAB") == [("invalid", "code")]

    assert (corequisites_of("LAB"), corequisites_of("LECTURE")) == ([["LECTURE"]], [[]])
    make_course(code="LECTURE", term=lab.term)
    assert rename(api, registrar_client, lecture, "LAB") == []
    assert corequisites_of("LAB") == [[], ["LECTURE"]]


@each_rename
def test_a_course_that_requires_the_old_and_the_new_code_lists_the_new_one_once(rename, api, registrar_client):
    first = make_course(code="A")
    make_course(code="B", term=make_term())
    make_course(code="C", corequisites=["B", "OTHER", "A"])

    assert rename(api, registrar_client, first, "B") == []

    assert corequisites_of("C") == [["B", "OTHER"]]


def test_a_limited_client_does_not_make_a_course_its_own_corequisite_that_the_client_does_not_see(lab):
    client = create_api_client("limited", " ".join(settings.SCOPES), terms=[lab.term.code])
    limited = bearer(ApiClient.objects.get(client_id=client.client_id), settings.SCOPES)
    assert limited.get(f"/api/v1/courses/{lab.pk}").json()["corequisites"] == []

    assert patch(limited, None, lab, "LECTURE") == [("invalid", "corequisites")]

    assert corequisites_of("LAB") == [["LECTURE"]]


def test_a_batch_and_a_file_refuse_a_new_section_that_requires_itself(lab, api):
    item = {"code": "LECTURE", "section": "B", "name": "Talk", "level": "advanced", "corequisites": ["LECTURE"]}

    [outcome] = api.post("/api/v1/courses/batch", {"items": [item]}).json()["outcomes"]
    rows = uploaded(api, "courses", "course_code,section,name,level,corequisites\nLECTURE,B,Talk,advanced,LECTURE\n")

    assert [(each["code"], each["field"]) for each in outcome["errors"]] == [("invalid", "corequisites")]
    assert fault_of_row(rows) == (2, [("invalid", "corequisites")])
