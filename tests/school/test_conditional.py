"""Conditional requests: tags that change with what is shown, 304 for less, and writers that overwrite nobody."""

import hashlib
import json
from itertools import count

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.serializers import Serializer
from rest_framework.test import APIClient

from courses.api_clients import create_api_client
from school.api.etags import tag_of_text
from school.models import ApiClient
from school.refusals import Refused
from students.enrollment import drop, enroll
from students.enrollment.commands import OnFull
from students.models import Student, StudentCourse
from tests.factories import make_course, make_student, make_term
from tests.queries import TOKEN, cost_of
from tests.races import RUNNERS, race
from tests.test_access import bearer

pytestmark = pytest.mark.django_db

KINDS = ["student", "course", "term", "pair", "enrollment"]
LISTS = ["students", "courses", "terms", "enrollments", "pairs", "roster", "events"]


@pytest.fixture
def places(origin):
    """An address of each kind of resource."""
    student, course = make_student(), make_course(term=make_term(), capacity=1, waitlist_capacity=5)
    enrollment = enroll(student_id=student.pk, course_id=course.pk, origin=origin).enrollment
    assert enrollment is not None
    return {
        "student": f"/api/v1/students/{student.pk}",
        "course": f"/api/v1/courses/{course.pk}",
        "term": f"/api/v1/terms/{course.term_id}",
        "pair": f"/api/v1/students/{student.pk}/courses/{course.pk}",
        "enrollment": f"/api/v1/enrollments/{enrollment.pk}",
    }


@pytest.fixture
def lists(places):
    more = {"pairs": places["student"] + "/courses", "roster": places["course"] + "/students"}
    plain = {name: f"/api/v1/{name}" for name in LISTS[:4]}
    return {**plain, **more, "events": places["enrollment"] + "/events"}


@pytest.mark.parametrize("kind", KINDS)
def test_who_has_it_already_gets_304_without_a_body(api, places, kind):
    first = api.get(places[kind])
    tag = first["ETag"]

    for known in (tag, f'"other", W/{tag}', "*"):
        again = api.get(places[kind], headers={"If-None-Match": known})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    assert api.get(places[kind], headers={"If-None-Match": '"other"'}).json() == first.json()
    assert tag.startswith('"')


CHANGES = {
    "student": ("patch", "student", {"given_name": "Augusta"}),
    "course": ("patch", "course", {"name": "Another", "enrollment_opens_at": "2020-01-01T00:00:00+02:00"}),
    "term": ("patch", "term", {"name": "Another"}),
    "pair": ("patch", "pair", {"status": "completed"}),
    "enrollment": ("delete", "pair", None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_changes_the_tag_to_that_of_its_answer(api, places, kind):
    before = api.get(places[kind])["ETag"]
    method, target, body = CHANGES[kind]

    changed = getattr(api, method)(places[target], body)

    after = api.get(places[kind])["ETag"]
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
def test_what_is_made_comes_with_its_tag(api, path, body):
    made = api.post(f"/api/v1/{path}", body)

    assert (made.status_code, made["ETag"]) == (201, api.get(made["Location"])["ETag"])


def test_an_enrollment_comes_with_its_tag(api):
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
def test_a_tag_covers_what_is_shown_of_others(api, places, kind, target, body):
    before = api.get(places[kind])["ETag"]

    assert api.patch(places[target], body).status_code == 200

    assert api.get(places[kind])["ETag"] != before


def test_tags_cover_the_seats_of_a_course_and_the_place_in_its_line(api, places, origin):
    course = StudentCourse.objects.get().course
    first, second = make_student(), make_student()
    tags = [api.get(places["course"])["ETag"]]
    for student in (first, second):
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, origin=origin)
        tags.append(api.get(places["course"])["ETag"])
    waiting = f"/api/v1/students/{second.pk}/courses/{course.pk}"
    before = api.get(waiting)["ETag"]

    drop(student_id=first.pk, course_id=course.pk, origin=origin)

    assert api.get(waiting)["ETag"] != before
    assert len(set(tags)) == 3
    assert api.get(places["course"])["ETag"] == tags[1]  # one waits, as after the first


@pytest.mark.parametrize("kind", LISTS)
def test_a_page_that_has_not_changed_is_304_for_the_same_queries(api, lists, kind):
    url = lists[kind]
    with CaptureQueriesContext(connection) as full:
        first = api.get(url)
    with CaptureQueriesContext(connection) as short:
        again = api.get(url, headers={"If-None-Match": first["ETag"]})

    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert (first["ETag"][:2], cost_of(short)) == ("W/", cost_of(full))


@pytest.mark.parametrize("kind", LISTS[:6])
def test_a_page_that_has_changed_is_sent(api, lists, places, kind):
    tag = api.get(lists[kind])["ETag"]
    for target in ("course", "term"):
        api.patch(places[target], {"code": "NEW"})
    api.patch(places["student"], {"given_name": "Augusta"})

    assert api.get(lists[kind], headers={"If-None-Match": tag}).status_code == 200


def test_one_resource_takes_one_query(api, places):
    costs = {}
    for kind, url in places.items():
        api.get(url)
        with CaptureQueriesContext(connection) as queries:
            api.get(url)
        costs[kind] = cost_of(queries) - TOKEN

    assert costs == {"student": 1, "course": 1, "term": 1, "pair": 1, "enrollment": 1}


@pytest.mark.parametrize("address", ["enrollments", "enrollments/{id}", "students/{student}/courses/{course}"])
def test_nothing_is_serialized_for_a_304(api, origin, monkeypatch, address):
    enrollment = enroll(student_id=make_student().pk, course_id=make_course().pk, origin=origin).enrollment
    assert enrollment is not None
    parts = {"id": enrollment.pk, "student": enrollment.student_id, "course": enrollment.course_id}
    url = f"/api/v1/{address.format(**parts)}"
    tag = api.get(url)["ETag"]
    monkeypatch.setattr(Serializer, "to_representation", lambda self, instance: pytest.fail("it is serialized"))

    assert api.get(url, headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
@pytest.mark.parametrize("kind", ["student", "course", "term"])
def test_a_write_with_a_stale_tag_is_412_and_changes_nothing(api, kind, method):
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
    ("header", "told"),
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
def test_the_reason_for_a_412_fits_the_tag_that_was_sent(api, places, kind, header, told):
    tag = api.get(places[kind])["ETag"]
    bare = tag.strip('"')
    body = {"status": "completed"} if kind == "pair" else {}

    answer = api.patch(places[kind], body, headers={"If-Match": header.format(tag=tag, bare=bare)})

    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (412, "precondition_failed", told)


@pytest.mark.parametrize("header", ["{tag}", '"other", {tag}', 'W/"other", {tag}', "W/{tag},{tag}", "*", " * "])
def test_a_tag_in_a_list_matches_beside_others(api, places, header):
    tag = api.get(places["student"])["ETag"]

    assert api.patch(places["student"], {}, headers={"If-Match": header.format(tag=tag)}).status_code == 200


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
def test_a_page_or_a_resource_has_one_tag_whoever_reads_it_and_however(api, places, lists, registrars_desk, kind):
    StudentCourse.objects.update(created_at="2026-01-02T03:04:05.060700Z", updated_at="2026-01-02T03:04:05Z")
    Student.objects.update(given_name='Zoë "Ζ" \\ </script>\u2028\u2029\x7f\x1f😀', family_name="Li\tu\b\f/")
    url = lists.get(kind) or places[kind]
    keys = create_api_client("limited", " ".join(settings.SCOPES), courses=[StudentCourse.objects.get().course.key])
    limited = bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES)
    read = [(client, accept) for client in (api, limited, registrars_desk) for accept in ACCEPTS]

    answers = [client.get(url, headers={"Accept": accept}) for client, accept in read]
    heads = [client.head(url) for client in (api, limited, registrars_desk)]

    assert {each.status_code for each in answers} == {200}
    assert len({json.dumps(each.json(), sort_keys=True) for each in answers}) == 1
    assert len({each["ETag"] for each in (*answers, *heads)}) == 1


@pytest.mark.parametrize("kind", LISTS)
def test_every_page_of_a_list_has_one_tag_there_and_back(api, places, lists, origin, kind):
    student, course = StudentCourse.objects.get().student, StudentCourse.objects.get().course
    for _ in range(4):
        make_course(term=make_term())
        enroll(student_id=make_student().pk, course_id=course.pk, on_full=OnFull.WAITLIST, origin=origin)
        enroll(student_id=student.pk, course_id=make_course().pk, origin=origin)
    tags, url = [], f"{lists[kind]}?page_size=2"
    while url:
        plain, general = (api.get(url, headers={"Accept": accept}) for accept in ("*/*", "application/json;q=0.9"))
        tags.append(plain["ETag"])
        assert general["ETag"] == plain["ETag"]
        assert api.get(url, headers={"Accept": ACCEPTS[4], "If-None-Match": plain["ETag"]}).status_code == 304
        assert api.get(url, headers={"If-None-Match": general["ETag"]}).status_code == 304
        url = plain.json()["next"]

    assert len(set(tags)) == len(tags)


def test_the_tag_of_a_page_covers_what_is_expanded_in_it(api, lists, places):
    url = f"{lists['enrollments']}?expand=course"
    tags = [api.get(url)["ETag"]]
    for change in ({"capacity": 77}, {"waitlist_capacity": 9}):
        api.patch(places["course"], change)
        tags.append(api.get(url)["ETag"])

    assert len(set(tags)) == 3


@pytest.mark.parametrize(("method", "body", "status"), [("patch", {"status": "completed"}, 200), ("delete", None, 204)])
def test_an_act_with_a_stale_tag_is_412_and_changes_nothing(api, places, method, body, status):
    tag = api.get(places["pair"])["ETag"]

    stale = getattr(api, method)(places["pair"], body, headers={"If-Match": '"stale"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert StudentCourse.objects.get().version == 1

    assert getattr(api, method)(places["pair"], body, headers={"If-Match": tag}).status_code == status
    assert getattr(api, method)(places["pair"], body, headers={"If-Match": tag}).status_code == 412
    assert getattr(api, method)(places["pair"], body, headers={"If-Match": "*"}).status_code == status


def test_an_act_is_not_for_an_enrollment_that_has_taken_the_place_of_the_one_read(origin):
    student, course = make_student(), make_course()
    parties = {"student_id": student.pk, "course_id": course.pk, "origin": origin}
    first = enroll(**parties).enrollment
    assert first is not None
    drop(**parties)
    enroll(**parties)

    with pytest.raises(Refused) as refused:
        drop(**parties, expected=(first.pk, 1))

    assert [refusal.code for refusal in refused.value.refusals] == ["precondition_failed"]


@pytest.mark.parametrize("kind", ["student", "course", "term", "pair"])
@pytest.mark.parametrize("method", ["patch", "delete"])
def test_a_server_may_require_if_match(api, places, settings, kind, method):
    settings.REQUIRE_IF_MATCH = True

    answer = getattr(api, method)(places[kind], {"status": "completed"} if kind == "pair" else {})

    assert (answer.status_code, answer.json()["code"]) == (428, "precondition_required")
    assert api.patch(places["student"], {}, headers={"If-Match": api.get(places["student"])["ETag"]}).status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="a race is only proved on PostgreSQL")
@pytest.mark.parametrize("kind", ["student", "course", "pair"])
def test_of_writers_with_the_same_tag_one_wins(api, origin, kind):
    token = api._credentials["HTTP_AUTHORIZATION"]
    addresses, tags, won, statuses = [], [], count(), []
    for _ in range(10):
        student, course = make_student(), make_course()
        enroll(student_id=student.pk, course_id=course.pk, origin=origin)
        pair = f"/api/v1/students/{student.pk}/courses/{course.pk}"
        url = {"student": f"/api/v1/students/{student.pk}", "course": f"/api/v1/courses/{course.pk}", "pair": pair}[
            kind
        ]
        addresses.append(url)
        tags.append(api.get(url)["ETag"])

    def act(runner, number):
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

    race(act, len(addresses))

    assert (next(won), set(statuses), len(statuses)) == (10, {200, 412}, 10 * RUNNERS)


@pytest.mark.parametrize("length", [0, 1, 5_000])
def test_the_tag_of_a_text_of_any_length_is_its_digest(length):
    text = "é" + "x" * length

    assert tag_of_text(text) == f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
