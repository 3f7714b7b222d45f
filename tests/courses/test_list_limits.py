"""The limits of prerequisites and corequisites hold everywhere, and longer lists from before stay usable."""

import pytest

from courses.models import Course
from courses.prerequisite_items import MAX_ALTERNATIVES, MAX_ITEMS
from tests.support.factories import make_course
from tests.support.imports import commanded, uploaded

pytestmark = pytest.mark.django_db

CODES = [f"C-{number}" for number in range(MAX_ITEMS + 1)]
MANY = CODES[: MAX_ALTERNATIVES + 1]
EARLIER = {"prerequisites": [*CODES[1:], MANY], "corequisites": CODES}  # from before the limits


@pytest.fixture(autouse=True)
def required(db):
    Course.objects.bulk_create(Course(code=code, name="Required", level="introductory") for code in CODES)


def form_of(**fields):
    return {"code": "NEW", "name": "New", "level": "introductory", "is_active": "on", "waitlist_capacity": 0, **fields}


def test_an_item_with_too_many_alternatives_is_refused_everywhere(api, registrar_client):
    text = "|".join(MANY)
    body = {"code": "NEW", "name": "New", "level": "introductory", "prerequisites": [MANY]}

    single = api.post("/api/v1/courses", body).json()["errors"]
    [in_batch] = api.post("/api/v1/courses/batch", {"items": [body]}).json()["outcomes"]
    files = [
        *commanded("courses", f"course_code,name,level,prerequisites\nNEW,New,introductory,{text}\n"),
        *uploaded(api, "courses", f"course_code,name,level,prerequisites\nNEW,New,introductory,{text}\n"),
    ]
    page = registrar_client.post("/admin/courses/course/add/", form_of(prerequisites=text))

    assert [each["code"] for each in [*single, *in_batch["errors"], *files]] == ["max_length"] * 4
    assert [each.code for each in page.context["adminform"].errors.as_data()["prerequisites"]] == ["max_length"]
    assert not Course.objects.filter(code="NEW").exists()


def test_the_longest_lists_are_stored_everywhere(api, registrar_client):
    lists = {"prerequisites": [*CODES[2:], CODES[:MAX_ALTERNATIVES]], "corequisites": CODES[1:]}
    text = ", ".join(CODES[2:]) + ", " + "|".join(CODES[:MAX_ALTERNATIVES])
    form = {"prerequisites": text, "corequisites": ", ".join(CODES[1:])}

    api.post("/api/v1/courses", {"code": "A", "name": "New", "level": "introductory", **lists})
    header = "course_code,name,level,prerequisites,corequisites"
    commanded("courses", f'{header}\nB,New,introductory,"{text}","{form["corequisites"]}"\n')
    registrar_client.post("/admin/courses/course/add/", form_of(**form))

    stored = Course.objects.filter(code__in=["A", "B", "NEW"]).values("prerequisites", "corequisites")
    assert list(stored) == [lists] * 3


def test_a_course_with_longer_lists_from_before_the_limits_can_be_read_and_changed(api, registrar_client, tmp_path):
    course = make_course(code="NEW", **EARLIER)
    url = f"/api/v1/courses/{course.pk}"
    read = api.get(url).json()
    text = ", ".join(CODES[1:]) + ", " + "|".join(MANY)
    form = form_of(name="By form", prerequisites=text, corequisites=", ".join(CODES))
    file = f'course_code,name,level,prerequisites\nNEW,By file,introductory,"{text}"\n'
    item = {name: read[name] for name in ("code", "name", "level", "prerequisites", "corequisites")}

    assert {name: read[name] for name in EARLIER} == EARLIER
    assert api.put(url, {**read, "name": "By PUT"}).json()["name"] == "By PUT"
    assert api.patch(url, {"code": "NEW", "name": "By PATCH"}).json()["name"] == "By PATCH"
    assert api.post("/api/v1/courses/batch", {"items": [{**item, "name": "In a batch"}]}).status_code == 200
    assert registrar_client.post(f"/admin/courses/course/{course.pk}/change/", form).status_code == 302
    assert [row["outcome"] for row in commanded("courses", file)] == ["updated"]

    names = Course.history.filter(code="NEW").order_by("history_id").values_list("name", flat=True)
    assert list(names)[1:] == ["By PUT", "By PATCH", "In a batch", "By form", "By file"]
    course.refresh_from_db()
    assert {name: getattr(course, name) for name in EARLIER} == EARLIER
