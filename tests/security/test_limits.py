"""The limits of bodies, and the responses to bodies beyond them."""

import time
import unicodedata
from typing import Any

import pytest
from rest_framework.renderers import JSONRenderer

from school.api.parsers import MAX_CONTAINERS
from school.refusals import shorten
from school.text_normalization import normalized
from students.enrollment import enroll
from students.enrollment.actor_context import ActorContext
from students.models import Channel, EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

BATCH = "/api/v1/enrollments/batch"
ADA = {"student_number": "S-1", "given_name": "Ada", "family_name": "Byron"}
MARKS = "\N{COMBINING ACUTE ACCENT}\N{COMBINING GRAVE ACCENT BELOW}\N{COMBINING GREEK YPOGEGRAMMENI}"


def test_a_long_run_of_combining_marks_is_normalized_in_linear_time():
    began = time.process_time()

    normalized("a" + MARKS * 30_000)

    assert time.process_time() - began < 1  # unicodedata alone takes 9 seconds


@pytest.mark.parametrize(
    "text", ["a" + MARKS * 20, "\u0344" * 50 + MARKS * 15, MARKS * 11 + "\u1100\u1161" + MARKS * 20]
)
def test_a_long_run_of_combining_marks_is_normalized_as_by_unicodedata(text):
    assert normalized(text) == unicodedata.normalize("NFC", text)


def test_the_length_of_a_list_is_checked_before_its_items(api):
    course = {"code": "A", "name": "A", "level": "advanced", "prerequisites": [None] * 51}

    answer = api.post("/api/v1/courses", course)

    assert (answer.status_code, [(e["field"], e["code"]) for e in answer.json()["errors"]]) == (
        400,
        [("prerequisites", "max_length")],
    )


@pytest.mark.parametrize(
    ("unknown", "named", "more"),
    [(50, 50, []), (51, 50, ["There is 1 more unknown field."]), (1_050, 50, ["There are 1000 more unknown fields."])],
)
def test_fifty_unknown_fields_are_named_and_the_others_are_counted(api, unknown, named, more):
    answer = api.post("/api/v1/students", {**ADA, **{f"x{n}": 1 for n in range(unknown)}})

    errors = answer.json()["errors"]
    assert (answer.status_code, {error["code"] for error in errors}) == (400, {"unknown_field"})
    assert [error["field"] for error in errors if error["field"]] == [f"x{n}" for n in range(named)]
    assert [error["message"] for error in errors if not error["field"]] == more


def test_a_batch_with_too_many_errors_is_refused_as_a_whole(api):
    """1,001 errors: 20 items with 50 unknown fields each, and one error more."""
    student, course = make_student(), make_course()
    good = {"action": "enroll", "student_id": student.pk, "course_id": course.pk}
    bad = {**good, **{f"x{n}": 1 for n in range(50)}}

    taken = api.post("/api/v1/enrollments/batch", {"items": [*[bad] * 20, good]})
    refused = api.post("/api/v1/enrollments/batch", {"items": [*[bad] * 20, {**good, "x": 1}, good]})

    problem = refused.json()
    assert (taken.status_code, [each["status"] for each in taken.json()["outcomes"]]) == (
        207,
        ["invalid"] * 20 + ["created"],
    )
    assert (refused.status_code, problem["code"], len(problem["errors"])) == (400, "invalid", 100)
    assert (problem["errors"][0]["field"], problem["detail"][-21:]) == ("items.0.x0", " And 901 more errors.")
    assert EnrollmentEvent.objects.count() == 1


@pytest.mark.parametrize("padding", ["", "x" * 58, "\N{GRINNING FACE}" * 58])
def test_a_large_batch_response_shortens_reasons_to_stay_below_100_kb(api, padding):
    numbers = [f"{n:03}{padding}" for n in range(1_000)]
    items = [{"action": "drop", "student_number": number, "course_code": f"C-{number}"[:64]} for number in numbers]

    answer = api.post(BATCH, {"items": items}, format="json")

    outcomes = answer.json()["outcomes"]
    named = [each for each in outcomes if "errors" in each]
    assert [len(each["errors"]) for each in outcomes[: len(named)]] == [2] * len(named)
    assert outcomes[len(named) :] == [
        {"index": index, "status": "not_found", "code": each["code"]}
        for index, each in enumerate(outcomes[len(named) :], len(named))
    ]
    room = 100_000 - len(answer.content)
    assert 0 < room < 2_000 + len(JSONRenderer().render(named[0]))


def test_batches_of_26_and_more_items_render_enrollments_as_id_and_status(api):
    """With the longest names, 25 enrollments in full and 1,000 in short form have less than 100 kB."""
    sign = "\N{GRINNING FACE}"
    term = make_term(code="T" * 32)
    course = make_course(code=f"C{sign * 63}", name=sign * 200, term=term)
    students = Student.objects.bulk_create(
        Student(student_number=f"{n:04}{sign * 60}", given_name=sign * 150, family_name=sign * 150)
        for n in range(1_000)
    )
    items = [{"action": "enroll", "student_id": each.pk, "course_id": course.pk} for each in students]

    few, more, many = (api.post(BATCH, {"items": items[:size]}, format="json") for size in (25, 26, 1_000))

    assert [each["enrollment"]["student"]["id"] for each in few.json()["outcomes"]] == [
        each.pk for each in students[:25]
    ]
    rows = StudentCourse.objects.order_by("pk").values_list("pk", flat=True)
    assert [[each["enrollment"] for each in answer.json()["outcomes"]] for answer in (more, many)] == [
        [{"id": pk, "status": "enrolled"} for pk in rows[:size]] for size in (26, 1_000)
    ]
    assert many.json()["outcomes"][999] == {
        "index": 999,
        "status": "created",
        "enrollment": {"id": rows[999], "status": "enrolled"},
    }
    assert [len(answer.content) < 100_000 for answer in (few, more, many)] == [True] * 3


def test_a_large_batch_renders_the_final_status_of_each_enrollment(api):
    """The first student waits and gets the seat that a later drop frees; the last item drops a new enrollment."""
    leaving, first, *others = (make_student() for _each in range(26))
    full, other = make_course(capacity=1, waitlist_capacity=5), make_course()
    enroll(student_id=leaving.pk, course_id=full.pk, actor=ActorContext(Channel.SYSTEM))
    items = [
        {"action": "enroll", "student_id": first.pk, "course_id": full.pk, "on_full": "waitlist"},
        *({"action": "enroll", "student_id": each.pk, "course_id": other.pk} for each in others),
        {"action": "drop", "student_id": leaving.pk, "course_id": full.pk},
        {"action": "drop", "student_id": others[0].pk, "course_id": other.pk},
    ]

    outcomes = api.post(BATCH, {"items": items}).json()["outcomes"]

    assert [each["enrollment"]["status"] for each in (*outcomes[:3], *outcomes[-2:])] == [
        *("enrolled", "dropped", "enrolled"),
        *("dropped", "dropped"),
    ]


def test_a_body_has_at_most_10_000_arrays_and_objects(api):
    bodies: list[Any] = [[[]] * number for number in (MAX_CONTAINERS - 1, MAX_CONTAINERS)]

    few, many = (api.post("/api/v1/students", body).json() for body in bodies)

    assert few["code"] == "invalid"
    assert (many["code"], many["detail"]) == ("parse_error", "The JSON has more than 10,000 arrays and objects.")


def test_brackets_in_strings_are_not_counted_as_arrays(api):
    assert api.post("/api/v1/students", {**ADA, "given_name": '[{\\"' * 20_000}).json()["code"] == "invalid"


def test_a_value_quoted_in_a_message_is_shortened_in_the_middle(api):
    student = make_student()
    body = {"course_id": 1, "on_full": "x" * 100_000, "y" * 100_000: 1}

    errors = api.post(f"/api/v1/students/{student.pk}/courses", body).json()["errors"]

    assert [(each["field"], each["message"]) for each in errors] == [
        ("on_full", shorten(f'"{"x" * 100_000}" is not a valid choice.')),
        ("y" * 66 + "…" + "y" * 33, "This field does not exist."),
    ]
    assert len(errors[0]["message"]) == 500
    assert errors[0]["message"].endswith('x" is not a valid choice.')


@pytest.mark.parametrize("unit", ["1\n", "1,", "1\t", "1;"])
def test_a_pasted_text_with_far_too_many_keys_is_rejected_before_parsing(registrar_client, monkeypatch, unit):
    course = make_course()
    monkeypatch.setattr(
        "students.admin.bulk_enroll.views.parse_keys", lambda *_args: pytest.fail("The text was parsed.")
    )
    form = {"one": course.pk, "side": "course", "text": unit * 20_001 + "1", "on_full": "reject"}

    page = registrar_client.post("/admin/students/studentcourse/enroll-many/", form)

    message = "The text is too long to show here again. Go back; your browser still has it."
    assert page.context["form"].errors == {
        "text": ["At most 1000 rows can be changed at a time. Select fewer.", message]
    }
    assert page.context["form"]["text"].value() == ""


def test_a_short_text_is_not_shortened():
    assert [shorten("x" * length, 10) for length in (9, 10, 11)] == ["x" * 9, "x" * 10, "xxxxxx…xxx"]
