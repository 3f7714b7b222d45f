"""A limited client sees no code outside its limits in prerequisites, refusals, suggestions, conflicts and ETags."""

import json

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bulk.jobs.processing import process_import
from courses.api_client_creation import create_api_client
from courses.models import Course
from school.models import ApiClient
from students.enrollment import complete, drop, enroll
from students.enrollment.commands import OnFull
from students.models import Action, EnrollmentEvent, StudentCourse
from tests.security.test_access import bearer
from tests.support.factories import make_course, make_student, make_term
from tests.support.queries import cost_of

pytestmark = pytest.mark.django_db

HIDDEN = "HIDDEN"


@pytest.fixture
def courses(db):
    """Two courses within the limits and two outside. ADV requires one of each; HIDDEN-2 requires ADV."""
    fall, spring = make_term(code="2026F"), make_term(code="2027S")
    return {
        "INTRO": make_course(code="INTRO", term=fall),
        "ADV": make_course(code="ADV", term=fall, prerequisites=["HIDDEN-1", "INTRO"]),
        "HIDDEN-1": make_course(code="HIDDEN-1", term=spring),
        "HIDDEN-2": make_course(code="HIDDEN-2", term=spring, prerequisites=["ADV"]),
    }


@pytest.fixture
def limited(courses):
    keys = create_api_client("portal", " ".join(settings.SCOPES), terms=["2026F"])
    return bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES)


@pytest.fixture
def limited_to_a_course(courses):
    keys = create_api_client("course portal", " ".join(settings.SCOPES), courses=["INTRO@2026F", "ADV@2026F"])
    return bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES)


def stored_prerequisites():
    return Course.objects.get(code="ADV").prerequisites


# Reads


@pytest.mark.parametrize("path", ["courses/{ADV}", "courses/{ADV}?fields=prerequisites", "courses/code:ADV@2026F"])
def test_a_course_contains_only_prerequisites_within_the_limits(limited, courses, path):
    address = path.format(ADV=courses["ADV"].pk)

    assert limited.get(f"/api/v1/{address}").json()["prerequisites"] == ["INTRO"]


@pytest.mark.parametrize("path", ["courses", "enrollments?expand=course", "students/{student}/courses?expand=course"])
def test_a_list_contains_only_prerequisites_within_the_limits(limited, courses, actor, path):
    student = make_student()
    for code in ("HIDDEN-1", "INTRO"):
        enroll(student_id=student.pk, course_id=courses[code].pk, actor=actor)
        complete(student_id=student.pk, course_id=courses[code].pk, actor=actor)
    enroll(student_id=student.pk, course_id=courses["ADV"].pk, actor=actor)

    answer = limited.get(f"/api/v1/{path.format(student=student.pk)}")

    shown = [each.get("course", each) for each in answer.json()["results"]]
    assert [each["prerequisites"] for each in shown if each["code"] == "ADV"] == [["INTRO"]]
    assert HIDDEN not in answer.content.decode()


def test_a_client_without_limits_reads_every_prerequisite(api, courses):
    assert api.get(f"/api/v1/courses/{courses['ADV'].pk}").json()["prerequisites"] == ["HIDDEN-1", "INTRO"]


def test_visible_codes_take_one_query_for_any_number_of_courses(limited, courses):
    limited.get("/api/v1/terms")
    costs = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            limited.get("/api/v1/courses")
        costs.append(cost_of(queries))
        for _ in range(10):
            make_course(term=courses["ADV"].term, prerequisites=["INTRO", "HIDDEN-1"])

    assert costs[0] == costs[1]


@pytest.mark.parametrize("path", ["courses/{pk}", "courses"])
def test_an_etag_does_not_change_with_hidden_prerequisites(limited, courses, path):
    address = f"/api/v1/{path.format(pk=courses['ADV'].pk)}"
    before = limited.get(address)["ETag"]
    Course.objects.filter(code="ADV").update(prerequisites=["INTRO", "HIDDEN-2"])
    hidden = limited.get(address)["ETag"]
    Course.objects.filter(code="ADV").update(prerequisites=["HIDDEN-2"])

    assert (hidden == before, limited.get(address)["ETag"] == before) == (True, False)


# Writes


@pytest.mark.parametrize("method", ["put", "patch"])
def test_writing_back_a_course_as_it_was_read_changes_nothing(limited, courses, method):
    pk = courses["ADV"].pk
    read = limited.get(f"/api/v1/courses/{pk}")
    body = {name: value for name, value in read.json().items() if name not in ("id", "seats", "warnings")}

    answer = getattr(limited, method)(f"/api/v1/courses/{pk}", body, HTTP_IF_MATCH=read["ETag"])

    assert (answer.status_code, answer.json()["prerequisites"], answer["ETag"]) == (200, ["INTRO"], read["ETag"])
    assert stored_prerequisites() == ["HIDDEN-1", "INTRO"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([], ["HIDDEN-1"]),
        (["OTHER"], ["OTHER", "HIDDEN-1"]),
        (["OTHER", "INTRO"], ["OTHER", "INTRO", "HIDDEN-1"]),
    ],
)
def test_changing_the_prerequisites_keeps_the_hidden_ones(limited, courses, sent, kept):
    make_course(code="OTHER", term=courses["ADV"].term)

    answer = limited.patch(f"/api/v1/courses/{courses['ADV'].pk}", {"prerequisites": sent})

    assert (answer.status_code, answer.json()["prerequisites"]) == (200, sent)
    assert stored_prerequisites() == kept


@pytest.mark.parametrize("code", ["HIDDEN-1", "HIDDEN-2", "UNKNOWN"])
def test_a_hidden_code_is_answered_like_an_unknown_code(limited, courses, code):
    pk = courses["ADV"].pk
    new = {"code": "NEW", "name": "New", "level": "graduate", "term": "2026F", "prerequisites": [code]}

    answers = [limited.patch(f"/api/v1/courses/{pk}", {"prerequisites": [code]}), limited.post("/api/v1/courses", new)]

    results = [(answer.status_code, answer.json()["errors"]) for answer in answers]
    reason = {"code": "course_not_found", "field": "prerequisites", "message": f"There is no course code:{code}."}
    assert results == [(400, [reason])] * 2
    assert stored_prerequisites() == ["HIDDEN-1", "INTRO"]


def test_a_cycle_through_hidden_courses_is_refused_without_their_codes(limited, courses):
    Course.objects.filter(code="ADV").update(prerequisites=["HIDDEN-1"])
    Course.objects.filter(code="HIDDEN-1").update(prerequisites=["HIDDEN-2"])
    Course.objects.filter(code="HIDDEN-2").update(prerequisites=["INTRO"])

    answer = limited.patch(f"/api/v1/courses/{courses['INTRO'].pk}", {"prerequisites": ["ADV"]})

    [reason] = answer.json()["errors"]
    assert (answer.status_code, reason["code"]) == (400, "prerequisite_cycle")
    assert (
        reason["message"] == "These courses would be prerequisites of themselves: INTRO ← ADV ← 2 more courses ← INTRO."
    )


def test_deleting_a_prerequisite_of_hidden_courses_is_refused_without_codes(limited, courses):
    StudentCourse.objects.all().delete()

    answer = limited.delete(f"/api/v1/courses/{courses['ADV'].pk}")

    assert (answer.status_code, answer.json()["code"]) == (409, "is_prerequisite")
    assert HIDDEN not in answer.content.decode()


# Refusals to enroll


def message_and_leak_of(answer):
    return answer.json()["errors"][0]["message"], HIDDEN in answer.content.decode()


def test_a_refusal_names_the_visible_prerequisites_and_counts_the_others(limited, api, courses):
    address = f"/api/v1/students/{make_student().pk}/courses"

    results = [client.post(address, {"course_id": courses["ADV"].pk}) for client in (limited, api)]

    assert [message_and_leak_of(answer) for answer in results] == [
        ("ADV requires INTRO, 1 more course to be completed first.", False),
        ("ADV requires HIDDEN-1, INTRO to be completed first.", True),
    ]


def test_a_batch_names_no_hidden_prerequisite(limited, courses):
    items = [{"action": "enroll", "student_id": make_student().pk, "course_id": courses["ADV"].pk}]

    answers = [
        limited.post("/api/v1/enrollments/batch", {"items": items, "atomic": atomic}) for atomic in (False, True)
    ]

    assert [answer.json()["outcomes"][0]["code"] for answer in answers] == ["prerequisite_missing"] * 2
    assert [HIDDEN in answer.content.decode() for answer in answers] == [False, False]


def test_the_report_of_an_import_names_no_hidden_prerequisite(limited, courses):
    number = make_student().student_number
    rows = f"student_number,course_code,term\n{number},ADV,2026F\n".encode()
    sent = limited.post("/api/v1/imports?kind=enrollments&review=needed&on_error=skip", rows, content_type="text/csv")
    process_import(sent.json()["id"])

    report = b"".join(limited.get(f"/api/v1/imports/{sent.json()['id']}/report")).decode()

    assert [error["code"] for error in json.loads(report)[0]["errors"]] == ["prerequisite_missing"]
    assert HIDDEN not in report


def test_the_journal_gives_a_limited_client_no_hidden_prerequisite(limited, api, courses, actor):
    first, waiting = make_student(), make_student()
    Course.objects.filter(code="ADV").update(capacity=1, waitlist_capacity=None, prerequisites=[])
    for student in (first, waiting):
        enroll(student_id=student.pk, course_id=courses["ADV"].pk, actor=actor, on_full=OnFull.WAITLIST)
    Course.objects.filter(code="ADV").update(prerequisites=["HIDDEN-1"])
    drop(student_id=first.pk, course_id=courses["ADV"].pk, actor=actor)
    entry = EnrollmentEvent.objects.get(action=Action.PASS_OVER)

    def reasons(client):
        events = client.get(f"/api/v1/enrollments/{entry.enrollment_id}/events").json()["results"]
        changes = client.get("/api/v1/changes").json()["results"]
        return [each["reason"] for each in [*events, *changes] if each["action"] == "pass_over"]

    assert reasons(limited) == ["Prerequisite missing"] * 2
    assert reasons(api) == ["ADV requires HIDDEN-1 to be completed first."] * 2


# Keys


@pytest.mark.parametrize("code", ["HIDDEN-1", "hidden-1", "UNKNOWN"])
def test_a_key_outside_the_limits_is_answered_like_an_unknown_key(limited, courses, code):
    address = f"/api/v1/students/{make_student().pk}/courses"

    answers = [limited.get(f"/api/v1/courses/code:{code}"), limited.post(address, {"course_code": code})]

    results = [(answer.status_code, answer.json()["code"]) for answer in answers]
    assert results == [(404, "course_not_found")] * 2
    assert [answer.content.decode().replace(code, "").count("HIDDEN-1") for answer in answers] == [0, 0]


def test_courses_outside_the_limits_do_not_make_a_code_ambiguous(limited, courses):
    make_course(code="INTRO", term=courses["HIDDEN-1"].term)
    make_course(code="INTRO")

    answer = limited.get("/api/v1/courses/code:INTRO")

    assert (answer.status_code, answer.json()["id"]) == (200, courses["INTRO"].pk)


@pytest.mark.parametrize("code", ["TAKEN", "FREE"])
@pytest.mark.parametrize("capacity", [5, -1])
def test_a_new_code_without_a_limit_to_terms_is_refused_taken_or_not(limited_to_a_course, courses, code, capacity):
    make_course(code="TAKEN", term=courses["INTRO"].term)
    body = {"code": code, **({} if capacity > 0 else {"capacity": capacity})}

    answer = limited_to_a_course.patch(f"/api/v1/courses/{courses['INTRO'].pk}", body)

    assert (answer.status_code, answer.json()["code"]) == (403, "outside_limits")


@pytest.mark.parametrize("term", [None, "2026F"])
@pytest.mark.parametrize("code", ["TAKEN", "FREE"])
def test_a_new_course_outside_the_terms_is_refused_with_a_taken_or_free_code(courses, code, term):
    make_course(code="TAKEN", term=courses["INTRO"].term)
    make_course(code="TAKEN")
    keys = create_api_client("mixed", " ".join(settings.SCOPES), terms=["2027S"], courses=["INTRO@2026F"])
    client = bearer(ApiClient.objects.get(client_id=keys.client_id), settings.SCOPES)

    answer = client.post("/api/v1/courses", {"code": code, "name": "New", "level": "graduate", "term": term})

    assert (answer.status_code, answer.json()["code"]) == (403, "outside_limits")


@pytest.mark.parametrize("code", ["2027S", "FREE"])
def test_a_limited_client_cannot_change_the_code_of_a_term(limited, courses, code):
    pk = courses["INTRO"].term_id

    answers = [
        limited.patch(f"/api/v1/terms/{pk}", {"code": code}),
        limited.patch(f"/api/v1/terms/{pk}", {"code": code, "starts_on": "never"}),
        limited.patch(f"/api/v1/terms/{pk}", {"name": "Autumn", "code": "2026F"}),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 200]
    assert answers[0].json()["code"] == "outside_limits"


def test_a_limited_client_can_rename_and_move_a_course_within_its_terms(limited, courses):
    pk = courses["INTRO"].pk

    answers = [limited.patch(f"/api/v1/courses/{pk}", {"code": code}) for code in ("ADV", "BASICS")]

    assert [answer.status_code for answer in answers] == [409, 200]
    assert answers[0].json()["errors"][0]["code"] == "unique"
    assert stored_prerequisites() == ["HIDDEN-1", "BASICS"]
