"""Conditional requests: ETags change with the rendered content, 304 saves work, writers do not overwrite others."""

import hashlib
import json
from itertools import count

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.serializers import Serializer
from rest_framework.test import APIClient

from courses.api_client_creation import create_api_client
from school.api.etags import etag_of_text
from school.models import ApiClient
from school.refusals import Refused
from students.enrollment import drop, enroll
from students.enrollment.commands import OnFull
from students.models import Student, StudentCourse
from tests.security.test_access import bearer
from tests.support.factories import make_course, make_student, make_term
from tests.support.queries import TOKEN, cost_of
from tests.support.races import RUNNERS, race

pytestmark = pytest.mark.django_db

KINDS = ["student", "course", "term", "pair", "enrollment"]
LISTS = ["students", "courses", "terms", "enrollments", "pairs", "roster", "events"]


@pytest.fixture
def addresses(actor):
    """Return an address for each kind of resource."""
    student, course = make_student(), make_course(term=make_term(), capacity=1, waitlist_capacity=5)
    enrollment = enroll(student_id=student.pk, course_id=course.pk, actor=actor).enrollment
    assert enrollment is not None
    return {
        "student": f"/api/v1/students/{student.pk}",
        "course": f"/api/v1/courses/{course.pk}",
        "term": f"/api/v1/terms/{course.term_id}",
        "pair": f"/api/v1/students/{student.pk}/courses/{course.pk}",
        "enrollment": f"/api/v1/enrollments/{enrollment.pk}",
    }


@pytest.fixture
def list_addresses(addresses):
    more = {"pairs": addresses["student"] + "/courses", "roster": addresses["course"] + "/students"}
    plain = {name: f"/api/v1/{name}" for name in LISTS[:4]}
    return {**plain, **more, "events": addresses["enrollment"] + "/events"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_matching_if_none_match_returns_304_without_a_body(api, addresses, kind):
    first = api.get(addresses[kind])
    tag = first["ETag"]

    for known in (tag, f'"other", W/{tag}', "*"):
        again = api.get(addresses[kind], headers={"If-None-Match": known})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    assert api.get(addresses[kind], headers={"If-None-Match": '"other"'}).json() == first.json()
    assert tag.startswith('"')


CHANGES = {
    "student": ("patch", "student", {"given_name": "Augusta"}),
    "course": ("patch", "course", {"name": "Another", "enrollment_opens_at": "2020-01-01T00:00:00+02:00"}),
    "term": ("patch", "term", {"name": "Another"}),
    "pair": ("patch", "pair", {"status": "completed"}),
    "enrollment": ("delete", "pair", None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_changes_the_etag_to_the_one_in_its_response(api, addresses, kind):
    before = api.get(addresses[kind])["ETag"]
    method, target, body = CHANGES[kind]

    changed = getattr(api, method)(addresses[target], body)

    after = api.get(addresses[kind])["ETag"]
    assert before != after
    assert changed.headers.get("ETag", after) == after


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("students", {"student_number": "S-1", "given_name": "Ada", "family_name": "Byron"}),
        (
            "courses",
            {"code": "A", "name": "A", "level": "advanced", "enrollment_opens_at": "2020-01-01T02:00+02:00"},
        ),
        ("terms", {"code": "A", "name": "A", "starts_on": "2026-01-01", "ends_on": "2026-01-02"}),
    ],
)
def test_a_created_resource_is_returned_with_its_etag(api, path, body):
    made = api.post(f"/api/v1/{path}", body)

    assert (made.status_code, made["ETag"]) == (201, api.get(made["Location"])["ETag"])


def test_a_created_enrollment_is_returned_with_its_etag(api):
    student, course = make_student(), make_course(capacity=0, waitlist_capacity=1)
    url = f"/api/v1/students/{student.pk}/courses"
    body = {"course_id": course.pk, "on_full": "waitlist"}

    made, again = api.post(url, body), api.post(url, body)

    assert (made.status_code, again.status_code) == (201, 200)
    assert made["ETag"] == again["ETag"] == api.get(made["Location"])["ETag"]


@pytest.mark.parametrize(
    ("kind", "target", "body"),
    [
        ("course", "term", {"code": "OTHER"}),
        ("enrollment", "student", {"family_name": "King"}),
        ("pair", "course", {"code": "OTHER"}),
        ("enrollment", "term", {"code": "OTHER"}),
    ],
)
def test_an_etag_changes_with_the_related_rows_that_are_rendered(api, addresses, kind, target, body):
    before = api.get(addresses[kind])["ETag"]

    assert api.patch(addresses[target], body).status_code == 200

    assert api.get(addresses[kind])["ETag"] != before


def test_etags_change_with_seat_counts_and_waitlist_positions(api, addresses, actor):
    course = StudentCourse.objects.get().course
    first, second = make_student(), make_student()
    tags = [api.get(addresses["course"])["ETag"]]
    for student in (first, second):
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
        tags.append(api.get(addresses["course"])["ETag"])
    waiting = f"/api/v1/students/{second.pk}/courses/{course.pk}"
    before = api.get(waiting)["ETag"]

    drop(student_id=first.pk, course_id=course.pk, actor=actor)

    assert api.get(waiting)["ETag"] != before
    assert len(set(tags)) == 3
    assert api.get(addresses["course"])["ETag"] == tags[1]  # one student waits, as after the first step


@pytest.mark.parametrize("kind", LISTS)
def test_an_unchanged_page_returns_304_with_the_same_number_of_queries(api, list_addresses, kind):
    url = list_addresses[kind]
    with CaptureQueriesContext(connection) as full:
        first = api.get(url)
    with CaptureQueriesContext(connection) as short:
        again = api.get(url, headers={"If-None-Match": first["ETag"]})

    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert (first["ETag"][:2], cost_of(short)) == ("W/", cost_of(full))


@pytest.mark.parametrize("kind", LISTS[:6])
def test_a_changed_page_is_returned_in_full(api, list_addresses, addresses, kind):
    tag = api.get(list_addresses[kind])["ETag"]
    for target in ("course", "term"):
        api.patch(addresses[target], {"code": "NEW"})
    api.patch(addresses["student"], {"given_name": "Augusta"})

    assert api.get(list_addresses[kind], headers={"If-None-Match": tag}).status_code == 200


def test_reading_one_resource_takes_one_query(api, addresses):
    costs = {}
    for kind, url in addresses.items():
        api.get(url)
        with CaptureQueriesContext(connection) as queries:
            api.get(url)
        costs[kind] = cost_of(queries) - TOKEN

    assert costs == {"student": 1, "course": 1, "term": 1, "pair": 1, "enrollment": 1}


@pytest.mark.parametrize("address", ["enrollments", "enrollments/{id}", "students/{student}/courses/{course}"])
def test_a_304_response_is_not_serialized(api, actor, monkeypatch, address):
    enrollment = enroll(student_id=make_student().pk, course_id=make_course().pk, actor=actor).enrollment
    assert enrollment is not None
    parts = {"id": enrollment.pk, "student": enrollment.student_id, "course": enrollment.course_id}
    url = f"/api/v1/{address.format(**parts)}"
    tag = api.get(url)["ETag"]
    monkeypatch.setattr(Serializer, "to_representation", lambda self, instance: pytest.fail("it is serialized"))

    assert api.get(url, headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
@pytest.mark.parametrize("kind", ["student", "course", "term"])
def test_a_write_with_a_stale_etag_returns_412_and_changes_nothing(api, kind, method):
    makers = {"student": make_student, "course": make_course, "term": make_term}
    url = f"/api/v1/{kind}s/{makers[kind]().pk}"
    body, stale = api.get(url).json(), api.get(url)["ETag"]
    api.patch(url, {"given_name": "Eve"} if kind == "student" else {"name": "Other"})
    current = api.get(url)

    for header in (stale, f"W/{current['ETag']}", '"nonsense"', "nonsense", ""):
        answer = getattr(api, method)(url, body, headers={"If-Match": header})
        assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")

    assert api.get(url).json() == current.json()
    answer = getattr(api, method)(url, body, headers={"If-Match": f'"other", {current["ETag"]}'})
    assert answer.status_code == (204 if method == "delete" else 200)


CHANGED = "The object has changed since you read it. Read it again."
WEAK = (
    "The ETag in If-Match is weak (W/), and weak ETags never match. A proxy that compresses responses makes ETags weak:"
    " turn off its compression for this API."
)
FOREIGN = (
    "If-Match is not an ETag of this server (32 hexadecimal digits in double quotes). Send the ETag unchanged. A proxy"
    " that compresses responses may have changed it: turn off its compression for this API."
)


@pytest.mark.parametrize("kind", ["student", "pair"])
@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("W/{tag}", WEAK),
        ('W/"0123456789abcdef0123456789abcdef"', WEAK),
        ("W/{tag}, W/{tag}", WEAK),
        ('"nonsense", W/{tag}', WEAK),
        ('W/{tag}, "0123456789abcdef0123456789abcdef"', CHANGED),
        ('"0123456789abcdef0123456789abcdef"', CHANGED),
        ('"{bare}-gzip"', FOREIGN),
        ('"{bare};gzip"', FOREIGN),
        ('"{bare}-br", "{bare}-zstd"', FOREIGN),
        ("{bare}", FOREIGN),
        ("w/{tag}", FOREIGN),
        ("'{bare}'", FOREIGN),
        ('"*"', CHANGED),
        ('""', CHANGED),
        ('"an-old-one"', CHANGED),
        ('"{bare}-gzip", "0123456789abcdef0123456789abcdef"', CHANGED),
        ("", FOREIGN),
    ],
)
def test_the_message_of_a_412_explains_the_etag_that_was_sent(api, addresses, kind, header, message):
    tag = api.get(addresses[kind])["ETag"]
    bare = tag.strip('"')
    body = {"status": "completed"} if kind == "pair" else {}

    answer = api.patch(addresses[kind], body, headers={"If-Match": header.format(tag=tag, bare=bare)})

    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (412, "precondition_failed", message)


@pytest.mark.parametrize("header", ["{tag}", '"other", {tag}', 'W/"other", {tag}', "W/{tag},{tag}", "*", " * "])
def test_if_match_accepts_a_list_of_etags(api, addresses, header):
    tag = api.get(addresses["student"])["ETag"]

    assert api.patch(addresses["student"], {}, headers={"If-Match": header.format(tag=tag)}).status_code == 200


ACCEPTS = [
    "*/*",
    "application/json",
    "application/json, text/plain, */*",
    "application/json;q=0.9",
    "application/*",
    "text/html,application/json;q=0.9,*/*;q=0.8",
    "application/json; indent=4",
]


@pytest.mark.parametrize("kind", [*LISTS, *KINDS])
def test_an_etag_is_the_same_for_every_client_and_accept_header(api, addresses, list_addresses, registrar_client, kind):
    StudentCourse.objects.update(created_at="2026-01-02T03:04:05.060700Z", updated_at="2026-01-02T03:04:05Z")
    Student.objects.update(given_name='Zoë "Ζ" \\ </script>\u2028\u2029\x7f\x1f😀', family_name="Li\tu\b\f/")
    url = list_addresses.get(kind) or addresses[kind]
    keys = create_api_client(
        "limited", " ".join(settings.SCOPES), courses=[StudentCourse.objects.get().course.full_code]
    )
    limited = bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES)
    read = [(client, accept) for client in (api, limited, registrar_client) for accept in ACCEPTS]

    answers = [client.get(url, headers={"Accept": accept}) for client, accept in read]
    heads = [client.head(url) for client in (api, limited, registrar_client)]

    assert {each.status_code for each in answers} == {200}
    assert len({json.dumps(each.json(), sort_keys=True) for each in answers}) == 1
    assert len({each["ETag"] for each in (*answers, *heads)}) == 1


@pytest.mark.parametrize("kind", LISTS)
def test_every_page_of_a_list_has_its_own_etag_for_every_accept_header(api, addresses, list_addresses, actor, kind):
    student, course = StudentCourse.objects.get().student, StudentCourse.objects.get().course
    for _ in range(4):
        make_course(term=make_term())
        enroll(student_id=make_student().pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
        enroll(student_id=student.pk, course_id=make_course().pk, actor=actor)
    tags, url = [], f"{list_addresses[kind]}?page_size=2"
    while url:
        plain, general = (api.get(url, headers={"Accept": accept}) for accept in ("*/*", "application/json;q=0.9"))
        tags.append(plain["ETag"])
        assert general["ETag"] == plain["ETag"]
        assert api.get(url, headers={"Accept": ACCEPTS[4], "If-None-Match": plain["ETag"]}).status_code == 304
        assert api.get(url, headers={"If-None-Match": general["ETag"]}).status_code == 304
        url = plain.json()["next"]

    assert len(set(tags)) == len(tags)


def test_the_etag_of_a_page_changes_with_expanded_rows(api, list_addresses, addresses):
    url = f"{list_addresses['enrollments']}?expand=course"
    tags = [api.get(url)["ETag"]]
    for change in ({"capacity": 77}, {"waitlist_capacity": 9}):
        api.patch(addresses["course"], change)
        tags.append(api.get(url)["ETag"])

    assert len(set(tags)) == 3


@pytest.mark.parametrize(("method", "body", "status"), [("patch", {"status": "completed"}, 200), ("delete", None, 204)])
def test_a_command_with_a_stale_etag_returns_412_and_changes_nothing(api, addresses, method, body, status):
    tag = api.get(addresses["pair"])["ETag"]

    stale = getattr(api, method)(addresses["pair"], body, headers={"If-Match": '"stale"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert StudentCourse.objects.get().version == 1

    assert getattr(api, method)(addresses["pair"], body, headers={"If-Match": tag}).status_code == status
    assert getattr(api, method)(addresses["pair"], body, headers={"If-Match": tag}).status_code == 412
    assert getattr(api, method)(addresses["pair"], body, headers={"If-Match": "*"}).status_code == status


def test_an_expected_version_does_not_match_a_newer_enrollment_of_the_student(actor):
    student, course = make_student(), make_course()
    parties = {"student_id": student.pk, "course_id": course.pk, "actor": actor}
    first = enroll(**parties).enrollment
    assert first is not None
    drop(**parties)
    enroll(**parties)

    with pytest.raises(Refused) as refused:
        drop(**parties, if_version=(first.pk, 1))

    assert [refusal.code for refusal in refused.value.refusals] == ["precondition_failed"]


@pytest.mark.parametrize("kind", ["student", "course", "term", "pair"])
@pytest.mark.parametrize("method", ["patch", "delete"])
def test_the_setting_to_require_if_match_is_enforced(api, addresses, settings, kind, method):
    settings.REQUIRE_IF_MATCH = True

    answer = getattr(api, method)(addresses[kind], {"status": "completed"} if kind == "pair" else {})

    assert (answer.status_code, answer.json()["code"]) == (428, "precondition_required")
    assert (
        api.patch(addresses["student"], {}, headers={"If-Match": api.get(addresses["student"])["ETag"]}).status_code
        == 200
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="a race is only proved on PostgreSQL")
@pytest.mark.parametrize("kind", ["student", "course", "pair"])
def test_one_of_several_concurrent_writers_with_the_same_etag_succeeds(api, actor, kind):
    token = api._credentials["HTTP_AUTHORIZATION"]
    addresses, tags, won, statuses = [], [], count(), []
    for _ in range(10):
        student, course = make_student(), make_course()
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
        pair = f"/api/v1/students/{student.pk}/courses/{course.pk}"
        url = {"student": f"/api/v1/students/{student.pk}", "course": f"/api/v1/courses/{course.pk}", "pair": pair}[
            kind
        ]
        addresses.append(url)
        tags.append(api.get(url)["ETag"])

    def write(runner, number):
        body = {
            "student": {"given_name": f"name {runner}"},
            "course": {"name": f"name {runner}"},
            "pair": {"status": "completed", "grade": f"{runner}"},
        }
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=token)
        answer = client.patch(addresses[number], body[kind], headers={"If-Match": tags[number]})
        statuses.append(answer.status_code)
        if answer.status_code == 200:
            next(won)

    race(write, len(addresses))

    assert (next(won), set(statuses), len(statuses)) == (10, {200, 412}, 10 * RUNNERS)


@pytest.mark.parametrize("length", [0, 1, 5_000])
def test_the_etag_of_a_text_is_its_digest_for_every_length(length):
    text = "é" + "x" * length

    assert etag_of_text(text) == f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
