"""Pages are in the language of the user, and API responses are in English."""

import json
from datetime import UTC, datetime
from time import process_time

import pytest
from django.core.exceptions import ValidationError
from django.db.models import EmailField
from django.http import HttpResponse
from django.test import Client
from django.utils.translation import get_language, override

from school.i18n.middleware import LanguageMiddleware
from school.i18n.stored_messages import (
    format_count,
    format_instant,
    from_stored,
    join_messages,
    message_of,
    parts_to_json,
    translatable,
    translate_stored,
    truncate_message,
)
from students.enrollment import drop, enroll
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import OnFull
from students.models import Action, Channel, EnrollmentEvent
from tests.support.factories import make_course, make_student
from tests.support.imports import ENROLLMENTS, imported

GERMAN = {"Accept-Language": "de"}


@pytest.mark.parametrize(
    ("accept_language", "language"), [("de-AT,de;q=0.9", "de"), ("es", "es"), ("fr", "en"), ("", "en")]
)
def test_a_page_is_in_the_language_of_the_browser(client, db, accept_language, language):
    answer = client.get("/admin/login/", headers={"Accept-Language": accept_language})

    assert f'<html lang="{language}"' in answer.text
    assert answer.headers["Content-Language"] == language
    assert "Accept-Language" in answer.headers["Vary"]


def test_a_chosen_language_overrides_the_browser(client, db):
    client.post("/language", {"language": "de", "next": "/admin/login/"})
    answer = client.get("/admin/login/", headers={"Accept-Language": "es"})

    assert answer.headers["Content-Language"] == "de"


def test_the_menu_lists_every_language(registrar_client):
    answer = registrar_client.get("/admin/")

    assert [f'name="language" type="hidden" value="{code}"' in answer.text for code in ("en", "de", "es")] == [True] * 3


@pytest.mark.parametrize("path", ["/api/v1/students/0", "/oauth/token", "/problems/course_full"])
@pytest.mark.parametrize("usual", ["en", "de"])
def test_api_responses_are_in_english(db, settings, path, usual):
    settings.LANGUAGE_CODE = usual
    with override(usual):
        answer = Client().get(path, headers={"Accept-Language": "de"})

    assert "Content-Language" not in answer.headers
    assert "Studierende" not in answer.text
    assert "Kurs" not in answer.text


def test_the_language_of_a_request_does_not_leak_into_the_next_one(rf):
    heard = []

    def view(request):
        heard.append(get_language())
        return HttpResponse()

    speak = LanguageMiddleware(view)
    speak(rf.get("/admin/", headers={"Accept-Language": "de"}))
    speak(rf.get("/api/v1/students", headers={"Accept-Language": "de"}))

    assert heard == ["de", "en"]


def test_a_refusal_is_in_the_language_of_the_user(registrar_client, api):
    student, full = make_student(), make_course(code="MATH-101", capacity=0)

    page = registrar_client.post(
        "/admin/students/studentcourse/add/",
        {"student": student.pk, "course": full.pk, "on_full": "reject", "reason": ""},
        headers=GERMAN,
    )
    problem = api.post(
        f"/api/v1/students/{student.pk}/courses", {"course_id": full.pk}, format="json", headers=GERMAN
    ).json()

    assert "MATH-101 hat keinen freien Platz." in page.text
    assert problem["detail"] == "MATH-101 has no free seat."


@pytest.mark.django_db
def test_the_reasons_of_a_pass_over_are_stored_in_english():
    course, actor = make_course(code="MATH-101", capacity=1, waitlist_capacity=5), ActorContext(Channel.SYSTEM)
    first, second = make_student(), make_student()
    enroll(student_id=first.pk, course_id=course.pk, actor=actor)
    enroll(student_id=second.pk, course_id=course.pk, actor=actor, on_full=OnFull.WAITLIST)
    second.is_active = False
    second.save()

    with override("de"):
        drop(student_id=first.pk, course_id=course.pk, actor=actor)
        event = EnrollmentEvent.objects.get(action=Action.PASS_OVER)
        reason = event.localized_reason

    assert (event.reason, event.reason_parts) == ("This student is not active.", [["This student is not active.", {}]])
    assert reason == "Diese Person ist nicht aktiv."


def test_import_messages_are_in_the_language_of_the_reader(registrar_client):
    with override("de"):
        job = imported(ENROLLMENTS + "S-9,M-9,,,,\n")
    german = registrar_client.get(f"/admin/bulk/import/{job.pk}/change/", headers=GERMAN).text
    english = registrar_client.get(f"/admin/bulk/import/{job.pk}/change/").text

    assert "Es gibt keinen Kurs code:M-9." in german
    assert "There is no course code:M-9." in english


def store_and_load(message):
    """Store a message as JSON and read it back."""
    text, parts = json.loads(json.dumps([truncate_message(message), parts_to_json(message)]))
    return from_stored(text, parts)


NO_SEAT = translatable("%(course)s has no free seat.")
INACTIVE = translatable("%(course)s is not active.")
ENDED = translatable("The enrollment is %(status)s and cannot become %(action)s, because it has ended.")


@pytest.mark.parametrize(
    ("message", "english", "german"),
    [
        (NO_SEAT % {"course": "MATH-101"}, "MATH-101 has no free seat.", "MATH-101 hat keinen freien Platz."),
        (
            ENDED % {"status": "dropped", "action": "completed"},
            "The enrollment is dropped and cannot become completed, because it has ended.",
            "Die Einschreibung ist „abgemeldet“ und kann nicht „abgeschlossen“ werden, denn sie ist beendet.",
        ),
        (
            translatable("Enrollment in %(course)s opens at %(instant)s.")
            % {"course": "M", "instant": "2026-08-01 08:00+00:00"},
            "Enrollment in M opens at 2026-08-01 08:00+00:00.",
            "Die Einschreibung in M beginnt am 01.08.2026 08:00 UTC.",
        ),
        (
            join_messages([translatable("This student is not active."), INACTIVE % {"course": "MATH-101"}]),
            "This student is not active. MATH-101 is not active.",
            "Diese Person ist nicht aktiv. MATH-101 ist nicht aktiv.",
        ),
        (
            "a.csv "
            + translatable("Row %(row)s: %(message)s") % {"row": 3, "message": INACTIVE % {"course": "M"}}
            + " b",
            "a.csv Row 3: M is not active. b",
            "a.csv Zeile 3: M ist nicht aktiv. b",
        ),
        # A parameter that looks like a message is not translated, and neither is text that a user wrote.
        (
            NO_SEAT % {"course": "This student is not active."},
            "This student is not active. has no free seat.",
            "This student is not active. hat keinen freien Platz.",
        ),
        ("MATH-101 has no free seat.", "MATH-101 has no free seat.", "MATH-101 has no free seat."),
        ("", "", ""),
    ],
)
def test_a_stored_message_is_translated_from_its_parts(message, english, german):
    kept = store_and_load(message)

    assert (kept, translate_stored(kept)) == (english, english)
    with override("de"):
        assert translate_stored(kept) == german


def test_a_stored_message_whose_text_has_left_the_catalogs_is_shown_in_english():
    kept = store_and_load(
        translatable("%(kind)s was none of: %(kinds)s.") % {"kind": "pupils", "kinds": "students, zip"}
    )

    with override("de"):
        assert translate_stored(kept) == "pupils was none of: students, zip."


def test_a_field_error_message_is_translated_from_its_parts():
    with pytest.raises(ValidationError) as raised:
        EmailField().clean("nobody", None)

    [error] = raised.value.error_list
    kept = store_and_load(message_of(error))

    assert kept == "Enter a valid email address."
    with override("de"):
        assert translate_stored(kept) == "Gib eine gültige E-Mail Adresse an."


def test_long_parameters_are_truncated_and_long_messages_stored_without_parts():
    cut = NO_SEAT % {"course": "M" * 1_000_000}
    long = join_messages([cut] * 5)

    assert cut == f"{'M' * 499}… has no free seat."
    assert (len(truncate_message(long)), parts_to_json(long), store_and_load(long)[-1]) == (2_000, None, "…")


def test_a_page_of_hostile_messages_is_translated_in_bounded_time():
    """Each message is translated by a lookup: the time does not depend on its similarity to other messages."""
    hostile = [join_messages([NO_SEAT % {"course": "a has no free seat. A" * 500}] * 3) for _place in range(100)]

    began = process_time()
    with override("de"):
        pages = [translate_stored(store_and_load(message)) for message in hostile]

    assert {page.count("hat keinen freien Platz.") for page in pages} == {3}
    assert process_time() - began < 1


@pytest.mark.parametrize(
    ("language", "instant", "count"),
    [
        ("en", "2026-08-01 08:00+00:00", "1,234,567"),
        ("de", "01.08.2026 08:00 UTC", "1.234.567"),
        ("es", "01/08/2026 08:00 UTC", "1.234.567"),
    ],
)
def test_datetimes_and_numbers_are_formatted_for_the_language(language, instant, count):
    with override(language):
        assert format_instant(datetime(2026, 8, 1, 8, tzinfo=UTC)) == instant
        assert format_count(1234567).replace("\xa0", ".") == count
