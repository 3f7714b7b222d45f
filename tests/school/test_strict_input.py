"""One format for each type of value, one value for each parameter, and errors that name their fields."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework import serializers

from bulk.api.serializers import BooleanTextField
from courses.models import Course, Term
from school.api.fields import (
    QueryIntegerField,
    StrictBooleanField,
    StrictCharField,
    StrictDateField,
    StrictIntegerField,
    UtcDateTimeField,
)
from school.api.filters import UpdatedSinceFilter
from school.api.permissions import scope_of
from school.api.query_parameters import StrictQueryMixin, filters_of, list_parameter_names, repeatable_parameters
from school.api.serializers import KnownFieldsSerializer
from students.enrollment import complete, drop, enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel, Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

NAIVE = ["2026-08-01T09:00:00", "2026-08-01T09:00", "2026-08-01 09:00:00", "2026-08-01T09:00:00.5"]
NO_INSTANTS = [
    "2026-08-01",
    "20260801T090000Z",
    "2026-08-01T09:00:00z",
    "2026-08-01t09:00:00Z",
    "2026-08-01 09:00:00Z",
    "2026-08-01T24:00:00Z",
    "2026-08-01T23:59:60Z",
    "2026-08-01T09:00:00.1234567Z",
    "2026-08-01T09:00:00+24:00",
    "2026-08-01T09:00:00+01:60",
    "2026-08-01T09:00:00+0200",
    "2026-08-01T09:00:00+02",
    "2026-08-01T09Z",
    "2026-W31-6T09:00:00Z",
    "2026-213T09:00:00Z",
    "2026-02-30T09:00:00Z",
    "\u0662026-08-01T09:00:00Z",
    " 2026-08-01T09:00:00Z",
    "2026-08-01T09:00:00Z\n",
    "1785574800",
    "now",
]
NO_DAYS = [
    "20261001",
    "2026-1-5",
    "01/10/2026",
    "10/01/26",
    "1 Oct 2026",
    "Oct 1 2026",
    "2026-10-01T00:00",
    "2026-10-01T00:00:00Z",
    "2026-W40-4",
    "2026-274",
    "2026-02-30",
    " 2026-10-01",
    "2026-10-01 ",
    "\u0662026-10-01",
    "today",
]
NO_NUMBERS = ["1_000", " 5", "5 ", "+5", "\u0665", "1e1", "5.0", "05", "0x5", "5,0", "true"]
NO_BOOLEANS = ["TRUE", "True", "1", "0", "yes", "on", " true", "t"]


def errors(answer: Any) -> list[tuple[str, str | None]]:
    return [(error["code"], error["field"]) for error in answer.json()["errors"]]


def views(resolver: Any = None, prefix: str = "") -> dict[str, Any]:
    """Return the views of the API by their routes."""
    found: dict[str, Any] = {}
    for each in (resolver or get_resolver()).url_patterns:
        route = f"{prefix}{each.pattern}"
        if isinstance(each, URLResolver):
            found |= views(each, route) if route == "api/v1/" else {}
        elif isinstance(each, URLPattern) and route.startswith("api/v1/"):
            found[route] = each.callback.cls  # type: ignore[attr-defined]
    return found


def serializer_classes(of: type = KnownFieldsSerializer) -> list[Any]:
    """Return every serializer that reads a body or a query, from the modules that the URL configuration imports."""
    assert views()
    found = []
    for each in of.__subclasses__():
        found += [each, *serializer_classes(each)]
    return [each for each in dict.fromkeys(found) if not hasattr(each, "Meta") or hasattr(each.Meta, "model")]


def written_fields() -> list[tuple[str, serializers.Field[Any, Any, Any, Any]]]:
    """Return every writable field, including those in lists."""
    fields = [
        (f"{each.__name__}.{name}", field)
        for each in serializer_classes()
        if each.__module__.split(".")[0] in ("bulk", "courses", "students")
        for name, field in each().fields.items()
        if not field.read_only and not isinstance(field, serializers.BaseSerializer)
    ]
    return fields + [(f"{name}[]", field.child) for name, field in fields if isinstance(field, serializers.ListField)]


STRICT: dict[type, Any] = {
    serializers.DateTimeField: UtcDateTimeField,
    serializers.DateField: StrictDateField,
    serializers.BooleanField: (StrictBooleanField, BooleanTextField),
    serializers.IntegerField: (StrictIntegerField, QueryIntegerField),
    serializers.CharField: StrictCharField,
}
# Fields that are read as text and checked against a signature.
SIGNED = {"ChangesQuerySerializer.after"}
ANSWERS = {"ImportSerializer.kind"}  # it reads no body


def test_every_writable_field_accepts_one_format():
    names = {name for name, _field in written_fields()}
    lenient = [
        name
        for name, field in written_fields()
        for general, strict in STRICT.items()
        if isinstance(field, general) and not isinstance(field, strict) and name not in SIGNED | ANSWERS
    ]

    assert {
        "CourseWithSeatsSerializer.enrollment_opens_at",
        "TermSerializer.starts_on",
        "UndoSerializer.dry_run",
    } < names
    assert lenient == []


def test_every_filter_accepts_one_format():
    lenient = [
        f"{route}?{name}"
        for route, view in views().items()
        for name, each in filters_of(view).items()
        if type(each).__module__.startswith("django_filters") and type(each).__name__ != "ChoiceFilter"
    ]

    assert lenient == []


def instants() -> list[str]:
    return sorted(
        {name for view in views().values() for name, f in filters_of(view).items() if isinstance(f, UpdatedSinceFilter)}
    )


LISTS = ["students", "courses", "terms", "enrollments"]


def test_every_list_with_a_datetime_filter_is_covered():
    routes = {route for route, view in views().items() if "updated_since" in filters_of(view) and "<" not in route}
    routes = {route for route in routes if not route.endswith("/batch")}

    assert (instants(), routes) == (["updated_since"], {f"api/v1/{path}" for path in LISTS})


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(("texts", "code"), [(NAIVE, "naive_instant"), (NO_INSTANTS, "invalid")])
def test_a_query_accepts_datetimes_in_one_format_only(api, path, texts, code):
    found = {text: errors(api.get(f"/api/v1/{path}?updated_since={quote(text)}")) for text in texts}

    assert found == {text: [(code, "updated_since")] for text in texts}


def test_an_unencoded_plus_sign_is_explained(api):
    answer = api.get("/api/v1/students?updated_since=2026-08-01T09:00:00+02:00")

    assert errors(answer) == [("invalid", "updated_since")]
    assert "Percent-encode it" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("field", ["enrollment_opens_at", "enrollment_closes_at"])
@pytest.mark.parametrize(("texts", "code"), [(NAIVE, "naive_instant"), (NO_INSTANTS, "invalid")])
def test_a_body_accepts_datetimes_in_one_format_only(api, settings, field, texts, code):
    settings.TIME_ZONE = "Europe/Berlin"
    body = {"code": "A", "name": "A", "level": "advanced"}

    found = {text: errors(api.post("/api/v1/courses", {**body, field: text})) for text in texts}

    assert found == {text: [(code, field)] for text in texts}
    assert Course.objects.count() == 0


def test_a_datetime_is_the_same_in_every_utc_offset(api):
    course = make_course()
    texts = ["2026-08-01T09:00:00+02:00", "2026-08-01T07:00:00Z", "2026-08-01T07:00Z", "2026-08-01T07:00:00.000-00:00"]

    found = [api.patch(f"/api/v1/courses/{course.pk}", {"enrollment_opens_at": text}).json() for text in texts]

    assert [each["enrollment_opens_at"] for each in found] == ["2026-08-01T07:00:00Z"] * len(texts)


@pytest.mark.parametrize("text", NO_DAYS)
def test_a_date_is_accepted_in_one_format_only(api, text):
    make_term(code="2026F", starts_on="2026-09-01", ends_on="2027-01-31")
    body = {"code": "T", "name": "A", "starts_on": "2026-01-01", "ends_on": "2027-01-01"}

    assert errors(api.get(f"/api/v1/terms?running_on={quote(text)}")) == [("invalid", "running_on")]
    for field in ("starts_on", "ends_on", "drop_deadline", "census_on"):
        assert errors(api.post("/api/v1/terms", {**body, field: text})) == [("invalid", field)]
    assert Term.objects.count() == 1


def test_an_iso_date_finds_the_running_term(api):
    make_term(code="2026F", starts_on="2026-09-01", ends_on="2027-01-31")

    assert [row["code"] for row in api.get("/api/v1/terms?running_on=2026-10-01").json()["results"]] == ["2026F"]


NUMBERS = ["courses?capacity", "changes?limit", "changes?wait", "students?page_size", "enrollments?student"]


@pytest.mark.parametrize("address", NUMBERS)
def test_a_query_accepts_numbers_in_one_format_only(api, address):
    name = address.partition("?")[2]
    found = {text: errors(api.get(f"/api/v1/{address}={quote(text)}")) for text in NO_NUMBERS}

    assert found == {text: [("invalid", name)] for text in NO_NUMBERS}


@pytest.mark.parametrize("address", ["students?is_active", "courses?is_active", "courses?has_seats"])
def test_a_query_accepts_only_true_and_false_for_booleans(api, address):
    name = address.partition("?")[2]
    found = {text: errors(api.get(f"/api/v1/{address}={quote(text)}")) for text in NO_BOOLEANS}

    assert found == {text: [("invalid_choice", name)] for text in NO_BOOLEANS}


@pytest.mark.parametrize("query", ["status=enrolled,%20waitlisted", "status=enrolled,", "fields=id,%20status"])
def test_values_in_a_list_are_separated_by_commas_without_spaces(api, query):
    assert errors(api.get(f"/api/v1/enrollments?{query}")) == [("invalid_choice", query.partition("=")[0])]


def address_of(route: str, path_values: dict[str, Any]) -> str:
    parts = {
        "<str:student_id>": path_values["student"],
        "<str:course_id>": path_values["course"],
        "<str:term_id>": path_values["term"],
        "enrollments/<id:pk>": f"enrollments/{path_values['enrollment']}",
        "webhooks/<id:pk>": "webhooks/1",
    }
    for part, value in parts.items():
        route = route.replace(part, str(value))
    return f"/{route}"


@pytest.fixture
def path_values() -> dict[str, Any]:
    student, course, term = make_student(), make_course(), make_term()
    enrollment = enroll(student_id=student.pk, course_id=course.pk, actor=ActorContext(Channel.SYSTEM)).enrollment
    assert enrollment is not None
    return {"student": student.pk, "course": course.pk, "term": term.pk, "enrollment": enrollment.pk}


def test_every_view_of_the_api_checks_its_query():
    assert {route for route, view in views().items() if not issubclass(view, StrictQueryMixin)} == set()


def test_every_single_valued_list_parameter_is_rejected_when_repeated(api, path_values):
    tried = 0
    for route, view in views().items():
        if "imports/" in route or not hasattr(view, "ordering_fields") or "get" not in view_methods(route):
            continue
        for name in list_parameter_names(view) - repeatable_parameters(view):
            answer = api.get(f"{address_of(route, path_values)}?{name}=1&{name}=2")
            if route.endswith(("_id>", "<id:pk>")):
                continue  # one resource
            assert ("repeated_parameter", name) in errors(answer), f"{route}?{name}"
            assert answer.status_code == 400
            tried += 1
    assert tried > 50


def view_methods(route: str) -> set[str]:
    for each in get_resolver().url_patterns:
        if isinstance(each, URLResolver) and str(each.pattern) == "api/v1/":
            for pattern in each.url_patterns:
                if f"api/v1/{pattern.pattern}" == route:
                    callback: Any = pattern.callback
                    return set(getattr(callback, "actions", None) or {"get"}) - {"head"}
    return set()


@pytest.mark.parametrize("address", ["changes?after", "changes?limit", "changes?wait"])
def test_the_change_feed_rejects_repeated_parameters(api, address):
    name = address.partition("?")[2]

    assert errors(api.get(f"/api/v1/{address}=0&{name}=0")) == [("repeated_parameter", name)]


def test_a_multi_valued_parameter_can_be_repeated(api, path_values):
    apart = api.get(
        "/api/v1/enrollments?status=enrolled&status=dropped&fields=id&fields=status&expand=student&expand=course"
    )
    together = api.get("/api/v1/enrollments?status=enrolled,dropped&fields=id,status&expand=student,course")

    assert (apart.status_code, apart.json()["results"]) == (200, together.json()["results"])


def test_repeated_unknown_and_invalid_parameters_are_reported_together(api):
    answer = api.get("/api/v1/courses?level=x&capacity=1&capacity=2&nonsense=1&running=")

    assert errors(answer) == [
        ("invalid_choice", "level"),
        ("repeated_parameter", "capacity"),
        ("unknown_filter", "nonsense"),
        ("unknown_filter", "running"),
    ]


@pytest.mark.parametrize(
    ("address", "query"),
    [("student", "feilds=id"), ("student", "search=x"), ("course", "term=x"), ("enrollment", "status=all")],
)
def test_a_single_resource_rejects_unknown_parameters(api, path_values, address, query):
    answer = api.get(f"/api/v1/{address}s/{path_values[address]}?{query}")

    assert (answer.status_code, errors(answer)) == (400, [("unknown_filter", query.partition("=")[0])])


def test_a_write_rejects_unknown_query_parameters(api, path_values):
    undo = api.post("/api/v1/imports/1/undo?dry_run=true", {})
    batch = api.post("/api/v1/enrollments/batch?atomic=true", {"items": [{}]})
    enrolled = api.post(
        f"/api/v1/students/{path_values['student']}/courses?on_full=waitlist", {"course_id": path_values["course"]}
    )

    assert [errors(undo), errors(batch), errors(enrolled)] == [
        [("unknown_filter", "dry_run")],
        [("unknown_filter", "atomic")],
        [("unknown_filter", "on_full")],
    ]


CSV = b"student_number,given_name,family_name\n"


def test_an_import_option_given_in_query_and_form_is_rejected(api):
    query = api.generic("POST", "/api/v1/imports?kind=students&kind=courses", CSV, "text/csv")
    part = '--a\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    file = '--a\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b\r\n'
    form = (part.format("kind", "students") + part.format("kind", "courses") + file + "--a--\r\n").encode()
    twice = api.generic("POST", "/api/v1/imports", form, "multipart/form-data; boundary=a")
    both = (part.format("kind", "students") + file + "--a--\r\n").encode()
    mixed = api.generic("POST", "/api/v1/imports?kind=courses", both, "multipart/form-data; boundary=a")
    files = (part.format("kind", "students") + file * 2 + "--a--\r\n").encode()
    two = api.generic("POST", "/api/v1/imports", files, "multipart/form-data; boundary=a")

    assert [errors(each) for each in (query, twice, mixed)] == [[("repeated_parameter", "kind")]] * 3
    assert errors(two) == [("one_file", "file")]


def test_the_token_endpoint_rejects_repeated_fields(client):
    form = "grant_type=client_credentials&client_id=a&client_id=b&client_secret=c"

    answer = client.generic("POST", "/oauth/token", form, "application/x-www-form-urlencoded")

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


ENCODED = ["gzip", "GZIP", "br", "deflate", "identity, gzip", "x"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/v1/students", "application/json"),
        ("/api/v1/enrollments/batch", "application/json"),
        ("/api/v1/students/1/courses", "application/json"),
        ("/api/v1/imports?kind=students", "text/csv"),
        ("/api/v1/imports?kind=zip", "application/zip"),
        ("/api/v1/imports", "multipart/form-data; boundary=a"),
        ("/oauth/token", "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_with_a_content_encoding_returns_415(api, path, kind):
    for encoding in ENCODED:
        answer = api.generic("POST", path, b"{}", kind, headers={"Content-Encoding": encoding})
        found = (answer.status_code, answer.json()["code"], answer["Accept-Encoding"])
        assert found == (415, "unsupported_media_type", "identity"), encoding


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
def test_content_encoding_identity_is_accepted(api, encoding):
    body = json.dumps({"student_number": "S", "given_name": "A", "family_name": "B"}).encode()

    answer = api.generic("POST", "/api/v1/students", body, "application/json", headers={"Content-Encoding": encoding})

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ("{}".encode("utf-16"), "UTF-8"),
        ("{}".encode("utf-16-le"), "UTF-16"),
        ("{}".encode("utf-16-be"), "UTF-16"),
        ("{}".encode("utf-32-le"), "UTF-16"),
    ],
)
def test_json_that_is_not_utf_8_is_explained(api, body, words):
    answer = api.generic("POST", "/api/v1/students", body, "application/json")

    assert (answer.status_code, answer.json()["code"], words in answer.json()["detail"]) == (400, "parse_error", True)


STUDENT = {"student_number": "S-1", "given_name": "Ada", "family_name": "Byron", "email": "ada@example.edu"}


def test_a_taken_email_is_reported_at_its_field(api):
    make_student(**STUDENT)

    answer = api.post("/api/v1/students", {**STUDENT, "student_number": "S-2", "email": "ADA@example.edu"})

    assert (answer.status_code, answer.json()["code"], errors(answer)) == (409, "unique", [("unique", "email")])


@pytest.mark.parametrize("method", ["post", "put", "patch"])
def test_all_uniqueness_and_other_errors_are_reported_together(api, method):
    make_student(**STUDENT)
    other = make_student()
    address = "/api/v1/students" if method == "post" else f"/api/v1/students/{other.pk}"
    before = list(Student.objects.values())

    both = getattr(api, method)(address, STUDENT)
    wrong = getattr(api, method)(address, {**STUDENT, "given_name": "", "family_name": "", "nonsense": 1})

    assert (both.status_code, set(errors(both))) == (409, {("unique", "student_number"), ("unique", "email")})
    assert (wrong.status_code, set(errors(wrong))) == (
        400,
        {("unique", "student_number"), ("unique", "email"), ("blank", "family_name"), ("unknown_field", "nonsense")},
    )
    assert list(Student.objects.values()) == before


def test_a_duplicate_course_or_term_is_reported_at_the_code_field(api):
    term = make_term(code="2026F")
    make_course(code="A", term=term)
    make_course(code="B")
    course = {"name": "", "level": "advanced"}

    in_term = api.post("/api/v1/courses", {**course, "code": "A", "term": "2026F"})
    without = api.post("/api/v1/courses", {**course, "code": "B"})
    again = api.post("/api/v1/terms", {"code": "2026F", "name": "", "starts_on": "x", "ends_on": "2026-01-01"})

    assert [set(errors(each)) for each in (in_term, without, again)] == [
        {("unique", "code"), ("blank", "name")},
        {("unique", "code"), ("blank", "name")},
        {("unique", "code"), ("blank", "name"), ("invalid", "starts_on")},
    ]


def test_the_problem_detail_names_the_field_of_each_error(api):
    answer = api.post("/api/v1/students", {"student_number": "", "given_name": "A", "family_name": "B", "x": 1})

    assert answer.json()["detail"] == "student_number: This field may not be blank. x: This field does not exist."


def test_the_admin_names_the_field_of_a_duplicate(registrar_client):
    make_student(**STUDENT)

    page = registrar_client.post("/admin/students/student/add/", {**STUDENT, "student_number": "S-2"})

    assert list(page.context["adminform"].form.errors) == ["email"]


@pytest.mark.parametrize("kind", ["students", "courses", "terms"])
@pytest.mark.parametrize("method", ["put", "patch"])
def test_writing_back_a_resource_as_it_was_read_changes_nothing(api, path_values, kind, method):
    address = f"/api/v1/{kind}/{path_values[kind.removesuffix('s')]}"
    model: Any = {"students": Student, "courses": Course, "terms": Term}[kind]
    read = api.get(address)
    before = list(model.history.values())

    answer = getattr(api, method)(address, read.json())

    assert (answer.status_code, answer.json(), answer["ETag"]) == (200, read.json(), read["ETag"])
    assert list(model.history.values()) == before


@pytest.mark.parametrize("query", ["", "?expand=student,course", "?fields=id,student,version", "?fields=id,grade"])
@pytest.mark.parametrize("end", [None, "complete", "drop", "wait"])
def test_writing_back_an_enrollment_as_it_was_read_changes_nothing(api, end, query):
    student, course, actor = (
        make_student(),
        make_course(capacity=1, waitlist_capacity=None),
        ActorContext(Channel.SYSTEM),
    )
    if end == "wait":
        enroll(student_id=make_student().pk, course_id=course.pk, actor=actor)
    api.post(f"/api/v1/students/{student.pk}/courses", {"course_id": course.pk, "on_full": "waitlist"})
    if end == "complete":
        complete(student_id=student.pk, course_id=course.pk, grade="A", actor=actor)
    if end == "drop":
        drop(student_id=student.pk, course_id=course.pk, actor=actor)
    address = f"/api/v1/students/{student.pk}/courses/{course.pk}"
    read, whole = api.get(f"{address}{query}").json(), api.get(address).json()
    row = StudentCourse.objects.filter(student=student).values().get()

    answer = api.patch(address, read)

    assert (answer.status_code, answer.json()) == (200, whole)
    assert StudentCourse.objects.filter(student=student).values().get() == row


def test_a_patch_of_an_enrollment_rejects_unsupported_changes(api, path_values):
    address = f"/api/v1/students/{path_values['student']}/courses/{path_values['course']}"
    read = api.get(address).json()

    assert errors(api.patch(address, {**read, "status": "dropped"})) == [("invalid_choice", "status")]
    assert errors(api.patch(address, {**read, "grade": "A"})) == [("invalid", "grade")]
    assert errors(api.patch(address, {**read, "nonsense": 1})) == [("unknown_field", "nonsense")]
    assert errors(api.patch(address, {})) == [("required", "status")]
    assert errors(api.patch(address, {"grade": "A"})) == [("required", "status")]
    assert api.get(address).json() == read


def test_a_write_ignores_changed_read_only_fields(api, path_values):
    address = f"/api/v1/students/{path_values['student']}/courses/{path_values['course']}"

    answer = api.patch(address, {"id": 1, "version": 99, "student": None, "status": "completed", "grade": "A"})

    found = answer.json()
    assert (found["id"], found["status"], found["grade"], found["version"]) == (
        path_values["enrollment"],
        "completed",
        "A",
        2,
    )


def test_a_403_names_the_missing_scope_at_every_address(make_client, path_values):
    nothing = make_client("changes:read")
    missing_scopes = set()
    for route, view in views().items():
        address = address_of(route, path_values).replace("<id:pk>", "1")
        for method in view_methods(route) if not route.endswith("/batch") else {"post"}:
            if view.scope == "changes":
                continue
            answer = nothing.generic(method.upper(), address, b"", "application/json")
            scope = scope_of(view, method.upper())
            found = (answer.status_code, answer.json().get("missing_scope"), answer["WWW-Authenticate"])
            challenge = f'Bearer realm="api",error="insufficient_scope",scope="{scope}"'
            assert found == (403, scope, challenge), (method, address)
            assert scope in answer.json()["detail"]
            missing_scopes.add(scope)
    assert len(missing_scopes) == 12


def test_a_403_for_staff_names_the_missing_permission(viewer):
    desk = Client()
    desk.force_login(viewer)

    answer = desk.post("/api/v1/students", STUDENT, content_type="application/json")

    assert (answer.status_code, answer.json()["missing_permission"]) == (403, "students.add_student")
    assert "WWW-Authenticate" not in answer


def test_a_403_names_the_scope_that_expand_or_waive_requires(make_client, path_values):
    reader = make_client("enrollments:read", "enrollments:write")
    full = make_course(capacity=0)

    expanded = reader.get("/api/v1/enrollments?expand=student")
    body = {"course_id": full.pk, "waive": ["course_full"], "reason": "because"}
    waived = reader.post(f"/api/v1/students/{path_values['student']}/courses", body)

    assert [each.status_code for each in (expanded, waived)] == [403, 403]
    assert [each.json()["missing_scope"] for each in (expanded, waived)] == ["students:read", "enrollments:waive"]
    assert all("insufficient_scope" in each["WWW-Authenticate"] for each in (expanded, waived))


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("students/S-1042", "number:S-1042"),
        ("students/code:S-1042", "number:S-1042"),
        ("students/007", "number:007"),
        ("students/S-1042/courses", "number:S-1042"),
        ("courses/MATH-101", "code:MATH-101"),
        ("courses/MATH-101@2026F", "code:MATH-101@2026F"),
        ("courses/MATH-101/students", "code:MATH-101"),
        ("students/{student}/courses/MATH-101", "code:MATH-101"),
        ("terms/2026F", "code:2026F"),
        ("terms/number:2026F", "code:2026F"),
    ],
)
def test_a_404_for_a_key_without_prefix_suggests_the_prefixed_key(api, path_values, address, hint):
    answer = api.get(f"/api/v1/{address.format(**path_values)}")

    assert answer.status_code == 404
    assert answer.json()["detail"].endswith(f" Did you mean {hint}?")


@pytest.mark.parametrize(
    ("query", "hint"), [("student=S-1042", "number:S-1042"), ("course=MATH-101@2026F", "code:MATH-101@2026F")]
)
def test_a_filter_key_without_prefix_suggests_the_prefixed_key(api, query, hint):
    answer = api.get(f"/api/v1/enrollments?{query}")

    assert errors(answer) == [("invalid", query.partition("=")[0])]
    assert hint in answer.json()["detail"]


def test_every_message_about_an_unknown_key_uses_the_same_notation(api, path_values):
    student = path_values["student"]
    answers = [
        api.get("/api/v1/courses/code:X@Y"),
        api.post(f"/api/v1/students/{student}/courses", {"course_code": "X", "term": "Y"}),
        api.get(f"/api/v1/students/{student}/courses/code:X@Y"),
    ]

    assert [each.json()["detail"] for each in answers] == ["There is no course code:X@Y."] * 3
