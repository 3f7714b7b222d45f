"""Batches of students, courses and terms."""

from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.api_client_creation import create_api_client
from courses.models import Course, Term
from school.models import ApiClient, KeptAnswer
from students.enrollment import enroll
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, Student, StudentCourse
from tests.security.test_access import bearer
from tests.support.factories import make_course, make_grades, make_student, make_term

pytestmark = pytest.mark.django_db

KINDS = ["students", "courses", "terms"]
MODELS: dict[str, Any] = {"students": Student, "courses": Course, "terms": Term}
each_kind = pytest.mark.parametrize("kind", KINDS)


def item(kind: str, number: Any, **fields: Any) -> dict[str, Any]:
    """Return a valid item."""
    match kind:
        case "students":
            return {"student_number": f"S-{number}", "given_name": "Ada", "family_name": "Byron", **fields}
        case "courses":
            return {"code": f"C-{number}", "term": "2026F", "name": "Calculus", "level": "introductory", **fields}
    return {
        "code": f"T-{number}",
        "name": "Fall",
        "starts_on": "2026-09-01",
        "ends_on": "2027-01-31",
        **fields,
    }


CHANGE: dict[str, dict[str, Any]] = {
    "students": {"given_name": "Grace"},
    "courses": {"capacity": 7},
    "terms": {"name": "Autumn"},
}
# Faulty items, each with the code and the field of its error.
FAULTY: dict[str, list[Any]] = {
    "students": [
        ({"given_name": 5}, "invalid", "given_name"),
        ({"given_name": "", "family_name": ""}, "blank", "family_name"),
        ({"student_number": "S\u200b1"}, "invalid_identifier", "student_number"),
        ({"email": "nobody"}, "invalid", "email"),
        ({"email": "TAKEN@example.edu"}, "unique", "email"),
        ({"nonsense": 1}, "unknown_field", "nonsense"),
    ],
    "courses": [
        ({"term": "NONE"}, "does_not_exist", "term"),
        ({"term": 5}, "invalid", "term"),
        ({"level": "hard"}, "invalid_choice", "level"),
        ({"capacity": -1}, "min_value", "capacity"),
        (
            {"enrollment_opens_at": "2026-08-02T00:00Z", "enrollment_closes_at": "2026-08-01T00:00Z"},
            "dates_reversed",
            None,
        ),
        ({"prerequisites": ["NONE-1"]}, "course_not_found", "prerequisites"),
        ({"prerequisites": ["C-0"]}, "prerequisite_cycle", "prerequisites"),
        ({"prerequisites": [{"course": "BASIC", "grade": "F"}]}, "invalid", "prerequisites"),
        ({"prerequisites": [{"course": "BASIC", "grade": "Z"}]}, "unknown_grade", "prerequisites"),
    ],
    "terms": [
        ({"ends_on": "2026-08-01"}, "dates_reversed", None),
        ({"drop_deadline": "2028-01-01"}, "drop_deadline_outside_term", None),
        ({"starts_on": "soon"}, "invalid", "starts_on"),
        ({"code": "T" * 33}, "max_length", "code"),
        ({"name": None}, "null", "name"),
    ],
}


@pytest.fixture(autouse=True)
def rows(db):
    make_grades()
    make_course(code="BASIC", term=make_term(code="2026F"))
    make_student(email="taken@example.edu")


def post(api, kind, items, **options):
    answer = api.post(f"/api/v1/{kind}/batch", {"items": items, **options})
    return answer, [each["status"] for each in answer.json().get("outcomes", ())]


@each_kind
def test_items_are_created_changed_or_left_unchanged(api, kind):
    first, created = post(api, kind, [item(kind, 1), item(kind, 2)])
    second, changed = post(api, kind, [item(kind, 1), item(kind, 2, **CHANGE[kind]), item(kind, 3)])

    ids = [each["id"] for each in first.json()["outcomes"]]
    assert (first.status_code, created) == (200, ["created", "created"])
    assert (second.status_code, changed) == (200, ["unchanged", "updated", "created"])
    assert [each["id"] for each in second.json()["outcomes"]][:2] == ids
    row = api.get(f"/api/v1/{kind}/{ids[1]}").json()
    assert {name: row[name] for name in CHANGE[kind]} == CHANGE[kind]


@each_kind
def test_a_batch_stores_what_single_requests_store(api, kind):
    values: Any = {
        "students": {"email": " Ada@EXAMPLE.edu", "is_active": False},
        "courses": {"prerequisites": ["BASIC", "BASIC", ["BASIC"]], "enrollment_opens_at": "2026-08-01T02:00+02:00"},
        "terms": {"drop_deadline": "2026-10-15"},
    }
    values = values[kind]

    single = api.post(f"/api/v1/{kind}", item(kind, 1, **values)).json()
    _answer, statuses = post(api, kind, [item(kind, 1, **values)])
    api.delete(f"/api/v1/{kind}/{single['id']}")
    answer, again = post(api, kind, [item(kind, 1, **values)])

    stored = api.get(f"/api/v1/{kind}/{answer.json()['outcomes'][0]['id']}").json()
    assert (statuses, again) == (["unchanged"], ["created"])
    assert {**stored, "id": single["id"]} == single


@each_kind
def test_the_errors_of_an_item_are_those_of_a_single_request(api, kind):
    if kind == "courses":
        api.post("/api/v1/courses", item(kind, 0))
    for number, (fields, code, field) in enumerate(FAULTY[kind]):
        faulty = item(kind, 0 if code == "prerequisite_cycle" else number + 1, **fields)
        single = (
            api.put("/api/v1/courses/code:C-0@2026F", faulty)
            if code == "prerequisite_cycle"
            else api.post(f"/api/v1/{kind}", faulty)
        ).json()
        answer, statuses = post(api, kind, [faulty, item(kind, 99)])

        outcome = answer.json()["outcomes"][0]
        assert statuses == ["refused", "unchanged" if number else "created"]
        assert answer.status_code == 207
        assert [(each["code"], each["field"]) for each in outcome["errors"]] == [(code, field)]
        assert outcome["errors"] == single["errors"]
        assert (outcome["code"], outcome["id"]) == (code, None)


@each_kind
@pytest.mark.parametrize("body", [5, None, "text", [], {}])
def test_a_malformed_item_does_not_affect_the_others(api, kind, body: Any):
    answer, statuses = post(api, kind, [body, item(kind, 1)])

    assert (answer.status_code, statuses) == (207, ["refused", "created"])


@each_kind
def test_a_batch_of_which_nothing_is_applied_is_a_422(api, kind):
    answer, statuses = post(api, kind, [{}, {}])

    assert (answer.status_code, answer.json()["code"], statuses) == (422, "nothing_applied", ["refused"] * 2)


@each_kind
@pytest.mark.parametrize("faulty", [0, 1])
def test_an_atomic_batch_is_applied_as_a_whole_or_not_at_all(api, kind, faulty):
    items = [item(kind, 1), item(kind, 2)]
    items[faulty] = {**items[faulty], "nonsense": 1}

    answer, statuses = post(api, kind, items, atomic=True)
    expected = ["not_applied", "not_applied"]
    expected[faulty] = "refused"

    assert (answer.status_code, statuses) == (422, expected)
    assert {each["id"] for each in answer.json()["outcomes"]} == {None}
    assert (
        not MODELS[kind]
        .objects.filter(
            **{
                "student_number__startswith" if kind == "students" else "code__startswith": item(kind, "")[
                    next(iter(item(kind, "")))
                ]
            }
        )
        .exists()
    )
    assert post(api, kind, [item(kind, 1), item(kind, 2)], atomic=True)[0].status_code == 200


@each_kind
def test_bodies_of_the_wrong_form_are_refused(api, kind):
    assert api.post(f"/api/v1/{kind}/batch", {"items": [{}] * 1_001}).status_code == 413
    bodies: list[Any] = [{}, {"items": []}, {"items": {}}, {"items": [{}], "atomic": 1}, {"items": [{}], "more": 1}, []]
    for body in bodies:
        assert api.post(f"/api/v1/{kind}/batch", body).status_code == 400
    assert api.post(f"/api/v1/{kind}/batch?search=x", {"items": [{}]}).status_code == 400
    assert api.get(f"/api/v1/{kind}/batch").status_code == 405


@each_kind
def test_a_key_can_be_repeated_only_with_the_same_values(api, kind):
    items = [item(kind, 1), item(kind, 1), item(kind, 1, **CHANGE[kind]), item(kind, " 1")]
    items[3] = {**item(kind, 1), next(iter(item(kind, 1))): f" {next(iter(item(kind, 1).values()))} "}

    answer, statuses = post(api, kind, items)

    outcomes = answer.json()["outcomes"]
    assert statuses == ["created", "unchanged", "refused", "unchanged"]
    assert outcomes[0]["id"] == outcomes[1]["id"] == outcomes[3]["id"]
    assert (outcomes[2]["code"], outcomes[2]["message"]) == (
        "duplicate_item",
        "Item 0 has the same key and different values.",
    )


@each_kind
def test_the_history_names_the_account_and_has_no_version_without_a_change(api, kind):
    api.post(f"/api/v1/{kind}", item(kind, 1))
    post(api, kind, [item(kind, 1), item(kind, 2)])
    post(api, kind, [item(kind, 1, **CHANGE[kind]), item(kind, 2, **CHANGE[kind])])

    def versions(number):
        row = api.get(
            f"/api/v1/{kind}/{'number' if kind == 'students' else 'code'}:{next(iter(item(kind, number).values()))}"
        )
        history = MODELS[kind].history.filter(id=row.json()["id"])
        return [(each.history_type, each.history_user_id, each.history_change_reason) for each in history]

    assert versions(1) == versions(2)
    assert [each[0] for each in versions(2)] == ["~", "+"]
    assert versions(2)[0][1] is not None


@each_kind
def test_the_number_of_queries_does_not_depend_on_the_number_of_items(api, kind):
    def count(start, size):
        items = [item(kind, start + number) for number in range(size)]
        post(api, kind, items[::2])
        changed = [each if index % 4 else {**each, **CHANGE[kind]} for index, each in enumerate(items)]
        faulty = [
            item(kind, start + size + number, **fields)
            for number in range(size // 10)
            for fields, _code, _field in FAULTY[kind][:6]
        ]
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer, _statuses = post(api, kind, [*changed, *faulty])
        assert answer.status_code == 207
        return len(queries)

    count(0, 20)
    assert count(1_000, 20) == count(2_000, 100)


@each_kind
def test_a_repeated_request_with_an_idempotency_key_gets_the_same_answer(api, kind):
    body = {"items": [item(kind, 1), {}]}
    first = api.post(f"/api/v1/{kind}/batch", body, headers={"Idempotency-Key": "a"})
    again = api.post(f"/api/v1/{kind}/batch", body, headers={"Idempotency-Key": "a"})

    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert again["Idempotency-Replayed"] == "true"
    assert KeptAnswer.objects.count() == 1


@each_kind
def test_an_answer_has_less_than_100_kb(api, kind):
    first = next(iter(item(kind, 1)))
    created, _statuses = post(api, kind, [item(kind, number) for number in range(1_000)])
    refused, _statuses = post(
        api,
        kind,
        [item(kind, number, **{first: "\u200b" * 40 + "x\u200bx"}) for number in range(999)] + [item(kind, 1)],
    )

    assert (created.status_code, refused.status_code) == (200, 207)
    assert len(created.content) < 100_000
    assert len(refused.content) < 100_000
    assert refused.json()["outcomes"][0]["errors"][0]["field"] == first
    assert refused.json()["outcomes"][998].keys() == {"index", "status", "code"}


def test_too_many_errors_refuse_the_batch(api):
    answer, statuses = post(api, "terms", [{}] * 1_000)

    assert (answer.status_code, answer.json()["code"], statuses) == (400, "invalid", [])


# Students


def test_students_can_swap_their_emails(api):
    make_student(student_number="S-1", email="a@example.edu")
    make_student(student_number="S-2", email="b@example.edu")

    swap = [item("students", 1, email="b@example.edu"), item("students", 2, email="a@example.edu")]
    answer, statuses = post(api, "students", [*swap, item("students", 3, email="A@example.edu")])

    assert statuses == ["updated", "updated", "refused"]
    assert answer.json()["outcomes"][2]["errors"][0]["field"] == "email"
    assert dict(Student.objects.filter(student_number__startswith="S-").values_list("student_number", "email")) == {
        "S-1": "b@example.edu",
        "S-2": "a@example.edu",
    }


def test_a_student_who_is_active_again_gets_the_free_seat(api, actor):
    course = make_course(capacity=1, waitlist_capacity=5)
    first, second = make_student(), make_student(student_number="S-1")
    enroll(student_id=first.pk, course_id=course.pk, actor=actor)
    enroll(student_id=second.pk, course_id=course.pk, actor=actor, on_full=OnFull.WAITLIST)
    post(api, "students", [item("students", 1, is_active=False)])
    api.delete(f"/api/v1/students/{first.pk}/courses/{course.pk}")

    answer, statuses = post(api, "students", [item("students", 1, is_active=True)])

    event = EnrollmentEvent.objects.latest("pk")
    assert statuses == ["updated"]
    assert StudentCourse.objects.get(student=second).status == "enrolled"
    assert str(event.request_id) == answer["X-Request-ID"]


def test_an_erased_student_cannot_be_changed(api):
    student = make_student(student_number="S-1")
    Student.objects.filter(pk=student.pk).update(
        erased_at="2026-01-01T00:00Z",
        student_number=f"erased-{student.pk}",
        given_name="",
        family_name="",
        email="",
        is_active=False,
    )
    body = {**item("students", 1), "student_number": f"erased-{student.pk}"}

    single = api.put(f"/api/v1/students/{student.pk}", body)
    answer, statuses = post(api, "students", [body])

    assert (single.status_code, statuses) == (400, ["refused"])
    assert answer.json()["outcomes"][0]["errors"] == single.json()["errors"]
    assert answer.json()["outcomes"][0]["code"] == "erased"


# Courses


def test_courses_may_require_each_other_within_a_batch(api):
    chain = [item("courses", 1, prerequisites=["C-2"]), item("courses", 2, prerequisites=["BASIC"])]
    cycle = [item("courses", 3, prerequisites=["C-4"]), item("courses", 4, prerequisites=["C-3"])]

    answer, statuses = post(api, "courses", [*chain, *cycle])

    assert statuses == ["created", "created", "refused", "refused"]
    assert {each["code"] for each in answer.json()["outcomes"][2:]} == {"prerequisite_cycle"}


def test_a_course_without_a_term_is_not_the_course_in_a_term(api):
    make_course(code="C-1", term=Term.objects.get())
    without = item("courses", 1)
    del without["term"]

    _answer, statuses = post(api, "courses", [without, item("courses", 1, term=None), item("courses", 1)])

    assert statuses == ["created", "refused", "updated"] or statuses == ["created", "unchanged", "updated"]
    assert Course.objects.filter(code="C-1").count() == 2


def test_a_course_with_more_seats_gives_them_to_waitlisted_students(api, actor):
    course = make_course(code="C-1", term=Term.objects.get(), capacity=0, waitlist_capacity=5)
    student = make_student()
    enroll(student_id=student.pk, course_id=course.pk, actor=actor, on_full=OnFull.WAITLIST)

    answer, _statuses = post(api, "courses", [item("courses", 1, capacity=1)])

    assert StudentCourse.objects.get().status == "enrolled"
    assert str(EnrollmentEvent.objects.latest("pk").request_id) == answer["X-Request-ID"]


# Limits


def test_a_limited_client_changes_only_courses_within_its_limits():
    keys = create_api_client("portal", " ".join(settings.SCOPES), terms=["2026F"])
    limited = bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES)
    make_course(code="HIDDEN", term=make_term(code="2027S"))
    make_course(code="C-2", term=Term.objects.get(code="2026F"), prerequisites=["HIDDEN"])
    bodies = [
        item("courses", 1),
        item("courses", 2, name="Other", prerequisites=["BASIC"]),
        item("courses", 3, prerequisites=["HIDDEN"]),
        item("courses", 4, term="2027S"),
        item("courses", 5, term=None),
        {**item("courses", 6, term="2027S"), "code": "HIDDEN"},
    ]

    answer, statuses = post(limited, "courses", bodies)
    single = [
        limited.put(f"/api/v1/courses/code:{each['code']}{'@' + each['term'] if each['term'] else ''}", each).json()[
            "errors"
        ]
        for each in bodies[2:]
    ]

    outcomes = answer.json()["outcomes"]
    assert statuses == ["created", "updated", *["refused"] * 4]
    assert [each["errors"] for each in outcomes[2:]] == single
    assert Course.objects.get(code="C-2").prerequisites == ["BASIC", "HIDDEN"]
    assert "HIDDEN" not in outcomes[1]["message"]


def test_a_limited_client_changes_no_students_and_creates_no_terms():
    keys = create_api_client("portal", " ".join(settings.SCOPES), terms=["2026F"])
    limited = bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES)
    make_student(student_number="S-1")

    students, _statuses = post(limited, "students", [item("students", 1), item("students", 2)])
    terms, statuses = post(limited, "terms", [item("terms", 1), {**item("terms", 2), "code": "2026F"}])

    assert {each["code"] for each in students.json()["outcomes"]} == {"outside_limits"}
    assert (statuses, terms.json()["outcomes"][0]["code"]) == (["refused", "updated"], "outside_limits")
