"""Every operation of OneRoster: its answers validate against the document, and errors have the standard's form."""

import hashlib
import re
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from courses.models import Course
from oneroster import sourced_ids
from oneroster.api.views import ListView
from school.http import rate_counter
from students.enrollment import enroll
from students.enrollment.commands import OnFull
from tests.oneroster.rosters import (
    LISTS,
    ROOTS,
    V1P1,
    V1P2,
    codes,
    get_list,
    make_roster,
    operations,
    validate,
)
from tests.support.factories import CANARY, make_course, make_student

pytestmark = pytest.mark.django_db

SHA256_OF_THE_DOCUMENT = "06cafc2234ae1cdc58a2fe8ea03a8e0a5bf57d0e39830468d9adf7cc16acd26f"
UNKNOWN = "00000000-0000-5000-8000-000000000000"


@pytest.fixture
def consumer(make_client):
    return make_client("rosters:read")


@pytest.fixture
def roster(actor):
    return make_roster(actor)


def test_the_document_has_41_operations():
    assert len(operations()) == 41


def test_every_answer_with_data_validates(consumer, roster):
    for path, operation in operations():
        answer = consumer.get(V1P2 + roster.path(path))
        if path == "/demographics/{sourcedId}":
            assert codes(answer) == (404, "unknownobject")
            continue
        assert (path, answer.status_code, answer.headers["Content-Type"]) == (path, 200, "application/json")
        validate(operation, answer.json())
        [content] = answer.json().values()
        if isinstance(content, list):
            assert (path, answer.headers["X-Total-Count"]) == (path, str(len(content)))
            assert (path, bool(content)) == (path, path != "/demographics")
        else:
            assert content["sourcedId"] == roster.path(path).split("/")[-1]


def test_every_answer_without_data_validates(consumer):
    for path, operation in operations():
        answer = consumer.get(V1P2 + re.sub(r"\{\w+\}", UNKNOWN, path))
        if "{" in path:
            assert codes(answer) == (404, "unknownobject")
        else:
            assert answer.status_code == 200
            validate(operation, answer.json())
            assert answer.headers["X-Total-Count"] == ("1" if path in ("/orgs", "/schools") else "0")


def test_classes_terms_and_courses_without_people_have_empty_lists(consumer):
    course = make_course()
    clazz = f"{V1P2}/classes/{sourced_ids.class_id(course.pk)}"
    school = f"{V1P2}/schools/{sourced_ids.org_id()}"

    assert [get_list(consumer, f"{clazz}/{name}") for name in ("students", "teachers")] == [[], []]
    assert [get_list(consumer, f"{school}/{name}") for name in ("students", "teachers", "enrollments")] == [[]] * 3


def test_version_1_1_has_the_same_operations(consumer, roster):
    statuses = {path: consumer.get(V1P1 + roster.path(path)).status_code for path, _operation in operations()}

    assert {path for path, status in statuses.items() if status != 200} == {"/demographics/{sourcedId}"}
    assert statuses["/demographics/{sourcedId}"] == 404


def test_users_of_1_1_have_one_role_and_orgs_and_those_of_1_2_have_roles(consumer, roster):
    [old] = get_list(consumer, f"{V1P1}/users", filter=f"username='{roster.teacher.username}'")
    [new] = get_list(consumer, f"{V1P2}/users", filter=f"username='{roster.teacher.username}'")
    org = str(sourced_ids.org_id())

    assert (old["enabledUser"], old["role"], [each["sourcedId"] for each in old["orgs"]]) == (True, "teacher", [org])
    assert sorted({*old} - {*new}) == ["orgs", "role"]
    assert (new["enabledUser"], [each["role"] for each in new["roles"]]) == ("true", ["teacher"])
    assert [(each["roleType"], each["org"]["sourcedId"]) for each in new["roles"]] == [("primary", org)]
    assert sorted({*new} - {*old}) == ["primaryOrg", "roles"]


def test_an_unknown_parent_is_404_in_1_2_and_an_empty_list_in_1_1(consumer, roster):
    nested = [path for path, operation in operations() if path.count("/") > 1 and path.count("{sourcedId}") == 0]

    new = [consumer.get(V1P2 + re.sub(r"\{\w+\}", UNKNOWN, path)).status_code for path in nested]
    old = [get_list(consumer, V1P1 + re.sub(r"\{\w+\}", UNKNOWN, path)) for path in nested]

    assert (len(nested), new, old) == (17, [404] * 17, [[]] * 17)


def test_ids_are_opaque_and_references_lead_to_their_objects(consumer, roster):
    for root in ROOTS.values():
        for name in LISTS:
            for each in get_list(consumer, f"{root}/{name}"):
                assert re.fullmatch(
                    r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", each["sourcedId"]
                )
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["dateLastModified"])
                references = [value for value in each.values() if isinstance(value, dict)]
                for reference in references:
                    path = urlsplit(reference["href"]).path
                    [found] = consumer.get(path).json().values()
                    assert (path.startswith(root), found["sourcedId"]) == (True, reference["sourcedId"])


def test_a_class_shows_its_current_students_and_teachers(consumer, roster):
    clazz = roster.parameters()["classSourcedId"]
    student, teacher = roster.single("students"), roster.single("teachers")
    completed = str(sourced_ids.student_id(roster.completed.pk))

    def ids(path):
        return sorted(each["sourcedId"] for each in get_list(consumer, f"{V1P2}/{path}"))

    assert ids(f"classes/{clazz}/students") == sorted([student, completed])
    assert ids(f"classes/{clazz}/teachers") == [teacher]
    assert ids(f"students/{student}/classes") == ids(f"teachers/{teacher}/classes") == [clazz]
    assert ids(f"students/{sourced_ids.student_id(roster.left.pk)}/classes") == []


def test_enrollments_have_the_status_and_the_days_of_the_newest_row(consumer, roster):
    rows = {
        each["user"]["sourcedId"]: (each["status"], each["role"], each["beginDate"], each["endDate"])
        for each in get_list(consumer, f"{V1P2}/enrollments")
    }
    today = roster.student.enrollments.get().enrolled_on.isoformat()

    assert rows == {
        str(sourced_ids.student_id(roster.student.pk)): ("active", "student", today, "2099-06-30"),
        str(sourced_ids.student_id(roster.left.pk)): ("tobedeleted", "student", today, today),
        str(sourced_ids.student_id(roster.completed.pk)): ("active", "student", today, today),
        str(sourced_ids.account_id(roster.teacher.pk)): ("active", "teacher", "2026-01-01", "2099-06-30"),
    }


def test_a_waitlisted_student_is_not_listed_and_a_returned_one_has_the_same_id(consumer, roster, actor):
    left = sourced_ids.enrollment_id(sourced_ids.student_id(roster.left.pk), sourced_ids.class_id(roster.course.pk))
    before = consumer.get(f"{V1P2}/enrollments/{left}").json()["enrollment"]
    enroll(student_id=roster.left.pk, course_id=roster.course.pk, actor=actor)
    Course.objects.filter(pk=roster.course.pk).update(capacity=1, waitlist_capacity=1)
    waiting = make_student()
    enroll(student_id=waiting.pk, course_id=roster.course.pk, actor=actor, on_full=OnFull.WAITLIST)
    after = consumer.get(f"{V1P2}/enrollments/{left}").json()["enrollment"]

    assert (before["status"], after["status"]) == ("tobedeleted", "active")
    assert before["dateLastModified"] < after["dateLastModified"]
    users = [each["user"]["sourcedId"] for each in get_list(consumer, f"{V1P2}/enrollments")]
    assert str(sourced_ids.student_id(waiting.pk)) not in users


def test_a_term_has_a_grading_period_and_a_school_year(consumer, roster):
    term, period = roster.single("terms"), roster.single("gradingPeriods")
    sessions = {each["sourcedId"]: each for each in get_list(consumer, f"{V1P2}/academicSessions")}
    year = str(sourced_ids.school_year_id("2026"))

    assert {(each["type"], each["schoolYear"]) for each in sessions.values()} == {
        ("term", "2026"),
        ("gradingPeriod", "2026"),
        ("schoolYear", "2026"),
    }
    assert sessions[period]["parent"]["sourcedId"] == term
    assert sessions[term]["parent"]["sourcedId"] == year
    assert [each["sourcedId"] for each in sessions[year]["children"]] == [term]
    assert [each["sourcedId"] for each in sessions[term]["children"]] == [period]


def test_courses_without_a_term_belong_to_one_session(consumer):
    courses = [make_course(), make_course()]
    classes = get_list(consumer, f"{V1P2}/classes")

    terms = [term["sourcedId"] for each in classes for term in each["terms"]]
    assert (len(courses), terms) == (2, [str(sourced_ids.term_id(None))] * 2)
    assert [each["sourcedId"] for each in get_list(consumer, f"{V1P2}/terms")] == [str(sourced_ids.term_id(None))]


def test_a_course_is_a_distinct_code(consumer, roster):
    other = make_course(code=roster.course.code, name="A newer name")
    [course] = get_list(consumer, f"{V1P2}/courses")
    classes = get_list(consumer, f"{V1P2}/courses/{course['sourcedId']}/classes")

    assert (course["courseCode"], course["title"]) == (roster.course.code, "A newer name")
    expected = [str(sourced_ids.class_id(each.pk)) for each in (roster.course, other)]
    assert sorted(each["sourcedId"] for each in classes) == sorted(expected)


def test_a_person_with_one_name_has_a_dash_for_the_other(consumer):
    make_student(given_name="", family_name=CANARY)
    [user] = get_list(consumer, f"{V1P2}/users")

    assert (user["givenName"], user["familyName"]) == ("-", CANARY)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("rostering/v1p2/unknown", 404, "unknownobject"),
        ("rostering/v1p2/resources", 404, "unknownobject"),
        ("v1p1/lineItems", 404, "unknownobject"),
        ("v1p1/classes/x/lineItems", 404, "unknownobject"),
        ("rostering/v1p2/demographics/x", 404, "unknownobject"),
        ("rostering/v1p2/users/%00", 404, "unknownobject"),
        ("rostering/v1p2/users/%FF", 404, "unknownobject"),
        ("rostering/v1p2/users/" + "x" * 5_000, 404, "unknownobject"),
        ("rostering/v1p2/users/a/b", 404, "unknownobject"),
        ("rostering/v1p2/users/a%2Fb", 404, "unknownobject"),
        ("rostering/v1p2/users/" + UNKNOWN.upper(), 404, "unknownobject"),
        ("rostering/v1p2/users?filter=%FF", 400, "invaliddata"),
        ("rostering/v1p2/users?filter=%00", 400, "invaliddata"),
    ],
)
def test_missing_objects_and_unreadable_requests_get_errors_of_the_standard(consumer, path, status, code):
    assert codes(consumer.get(f"/ims/oneroster/{path}")) == (status, code)


def test_callers_without_access_get_401_and_403(client, make_client):
    lists = [f"{root}/{name}" for root in ROOTS.values() for name in LISTS]
    others = make_client(*(set(settings.SCOPES) - {"rosters:read"}))

    assert [codes(client.get(path)) for path in lists] == [(401, "unauthorisedrequest")] * len(lists)
    bad = {"HTTP_AUTHORIZATION": "Bearer unknown"}
    assert [codes(client.get(path, **bad)) for path in lists] == [(401, "unauthorisedrequest")] * len(lists)
    assert [codes(others.get(path)) for path in lists] == [(403, "forbidden")] * len(lists)


def test_staff_are_not_let_in_by_their_session(registrar_client):
    assert codes(registrar_client.get(f"{V1P2}/users")) == (401, "unauthorisedrequest")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_other_methods_get_405(consumer, method):
    assert codes(getattr(consumer, method)(f"{V1P2}/users")) == (405, "invaliddata")


def test_a_failure_is_answered_in_the_form_of_the_standard(consumer, monkeypatch):
    monkeypatch.setattr(ListView, "without_parent", lambda self, rows: 1 / 0)
    consumer.raise_request_exception = False

    assert codes(consumer.get(f"{V1P2}/users/x/classes")) == (500, "internal_server_error")


def test_a_client_above_its_rate_gets_429_in_the_form_of_the_standard(consumer, settings, monkeypatch):
    settings.API_RATE_CLIENT = 1
    monkeypatch.setattr(rate_counter, "_sqlite_counter", rate_counter.SqliteCounter())  # without counts of other tests
    answers = [consumer.get(f"{V1P2}/orgs") for _each in range(2)]

    assert codes(answers[1]) == (429, "server_busy")
    assert 1 <= int(answers[1].headers["Retry-After"]) <= 60


def test_head_answers_as_get_without_a_body(consumer, roster):
    answer = consumer.head(f"{V1P2}/users")

    assert (answer.status_code, answer.headers["X-Total-Count"], answer.content) == (200, "4", b"")


def test_a_trailing_slash_is_accepted(consumer, roster):
    assert get_list(consumer, f"{V1P2}/users/") == get_list(consumer, f"{V1P2}/users")


@pytest.mark.parametrize(
    "name", ["onerosterv1p2rostersservice_openapi3_v1p0.json", "imsorv1p2_rostering_openapi3_v1p0.json"]
)
def test_the_discovery_document_is_the_document_of_the_standard(client, name):
    answer = client.get(f"{V1P2}/discovery/{name}")

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert hashlib.sha256(answer.content).hexdigest() == SHA256_OF_THE_DOCUMENT


def test_answers_contain_no_null(consumer, roster):
    make_student(email="", given_name="")
    for root in ROOTS.values():
        for name in LISTS:
            assert b"null" not in consumer.get(f"{root}/{name}").content
