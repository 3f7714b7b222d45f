"""The weekly meetings of a course: their text, what is refused, and conflicts."""

from datetime import date
from types import SimpleNamespace

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from courses.meetings import DAYS, clean_meetings, format_meetings, meeting_conflict, parse_meetings
from courses.models import Course
from tests.support.factories import make_course

MONDAY = {"day": "mon", "from": "10:00", "to": "11:30"}
NO_MORE = {"starts_on": None, "ends_on": None, "place": ""}


def test_meetings_are_written_as_one_text():
    meetings = parse_meetings("Wed 9:00-11:30; mon 10:00-11:30 R12")

    assert meetings == [
        {**MONDAY, **NO_MORE, "place": "R12"},
        {**NO_MORE, "day": "wed", "from": "09:00", "to": "11:30"},
    ]
    assert format_meetings(meetings) == "mon 10:00-11:30 R12; wed 09:00-11:30"


@pytest.mark.parametrize(
    "text",
    [
        "fri 08:00-09:00 2026-09-07..2026-10-12 Hall 1",
        "fri 08:00-09:00 2026-09-07..",
        "fri 08:00-09:00 ..2026-10-12",
        "",
    ],
)
def test_dates_of_meetings_are_part_of_the_text(text):
    assert format_meetings(parse_meetings(text)) == text


times = st.integers(0, 24 * 60 - 2).map(lambda minute: (minute, minute + 1))
meetings_of_courses = st.lists(
    st.fixed_dictionaries(
        {
            "day": st.sampled_from(DAYS),
            "from": st.just("10:00"),
            "to": st.sampled_from(["10:01", "23:59"]),
            "starts_on": st.sampled_from([None, "2026-09-01"]),
            "ends_on": st.sampled_from([None, "2026-12-01"]),
            "place": st.sampled_from(["", "R12", "Große Halle, 2. Stock", "2026-09-01", 'a "b" | c']),
        }
    ),
    max_size=7,
    unique_by=lambda meeting: meeting["day"],
)


@given(meetings_of_courses)
def test_every_list_of_meetings_is_read_from_its_text(meetings):
    assert parse_meetings(format_meetings(meetings)) == clean_meetings(meetings)


INVALID = [
    ("mon", "not_a_list"),
    (["mon"], "invalid_meeting"),
    ([{"day": "mon"}], "invalid_meeting"),
    ([{**MONDAY, "room": "R12"}], "invalid_meeting"),
    ([{**MONDAY, "day": "someday"}], "invalid_choice"),
    ([{**MONDAY, "day": ["mon"]}], "invalid_choice"),
    ([{**MONDAY, "from": "24:00"}], "invalid_time"),
    ([{**MONDAY, "to": 12}], "invalid_time"),
    ([{**MONDAY, "to": "09:00"}], "times_reversed"),
    ([{**MONDAY, "to": "10:00"}], "times_reversed"),
    ([{**MONDAY, "starts_on": "2026-02-30"}], "invalid_date"),
    ([{**MONDAY, "starts_on": 5}], "invalid_date"),
    ([{**MONDAY, "starts_on": "0999-02-01"}], "year_out_of_range"),
    ([{**MONDAY, "starts_on": "2026-09-02", "ends_on": "2026-09-01"}], "dates_reversed"),
    ([{**MONDAY, "place": None}], "invalid"),
    ([{**MONDAY, "place": "a;b"}], "invalid_place"),
    ([{**MONDAY, "place": "2026-09-01.. R1"}], "invalid_place"),
    ([{**MONDAY, "place": "x" * 65}], "invalid_place"),
    ([{**MONDAY, "place": "a\0b"}], "control_characters"),
    ([MONDAY, {**MONDAY, "from": "11:29", "to": "12:00"}], "meetings_overlap"),
    ([MONDAY] * 51, "max_length"),
]


@pytest.mark.parametrize(("values", "code"), INVALID)
@pytest.mark.django_db
def test_invalid_meetings_are_refused_with_a_code_and_the_field(api, values, code):
    with pytest.raises(ValidationError) as error:
        clean_meetings(values)
    assert [each.code for each in error.value.error_list] == [code]

    answer = api.patch(f"/api/v1/courses/{make_course().pk}", {"meetings": values}, format="json")

    assert answer.status_code == 400
    assert [(each["code"], each["field"]) for each in answer.json()["errors"]] == [(code, "meetings")]


@pytest.mark.django_db
def test_the_api_stores_and_returns_meetings(api):
    course = make_course()

    answer = api.patch(f"/api/v1/courses/{course.pk}", {"meetings": [MONDAY]}, format="json")

    assert (answer.status_code, answer.json()["meetings"]) == (200, [{**MONDAY, **NO_MORE}])
    assert api.get("/api/v1/courses").json()["results"][0]["meetings"] == [{**MONDAY, **NO_MORE}]


TEXTS = [
    ("mon 10:00-09:00", "times_reversed"),
    ("mon 10:00-11:00; mon 10:30-12:00", "meetings_overlap"),
    ("someday 10:00-11:00", "invalid_choice"),
    ("mon 25:00-26:00", "invalid_time"),
    ("mondays at ten", "invalid_meeting"),
]


@pytest.mark.parametrize(("text", "code"), TEXTS)
@pytest.mark.django_db
def test_files_and_forms_refuse_invalid_meetings(text, code, tmp_path, admin_client):
    file, report = tmp_path / "courses.csv", tmp_path / "report.csv"
    file.write_text(f"course_code,name,level,meetings\nMATH-1,Calculus,introductory,{text}\n")
    with pytest.raises(CommandError):
        call_command("import_courses", file, report=str(report))
    assert f"error,{code},meetings," in report.read_text()

    form = {"code": "C", "name": "A course", "level": "introductory", "waitlist_capacity": 0, "meetings": text}
    errors = admin_client.post(reverse("admin:courses_course_add"), form).context["adminform"].errors

    assert [each.code for each in errors.as_data()["meetings"]] == [code]
    assert not Course.objects.exists()


@pytest.mark.django_db
def test_a_form_shows_and_stores_meetings_as_text(admin_client):
    form = {"code": "C", "name": "A course", "level": "introductory", "waitlist_capacity": 0}

    admin_client.post(reverse("admin:courses_course_add"), {**form, "meetings": "mon 10:00-11:30 R12"})

    course = Course.objects.get()
    assert course.meetings == [{**MONDAY, **NO_MORE, "place": "R12"}]
    page = admin_client.get(reverse("admin:courses_course_change", args=[course.pk]))
    assert page.context["adminform"].form["meetings"].value() == "mon 10:00-11:30 R12"


def offered(text, term=None):
    return SimpleNamespace(meetings=parse_meetings(text), term=term)


FALL = SimpleNamespace(starts_on=date(2026, 9, 1), ends_on=date(2026, 12, 20))
SPRING = SimpleNamespace(starts_on=date(2027, 1, 1), ends_on=date(2027, 5, 1))


@pytest.mark.parametrize(
    ("first", "second", "conflict"),
    [
        (offered("mon 10:00-11:30"), offered("mon 11:00-12:00"), "Monday 11:00-11:30"),
        (offered("mon 10:00-11:30"), offered("mon 11:30-12:00"), "None"),
        (offered("mon 10:00-11:30"), offered("tue 10:00-11:30"), "None"),
        (offered("mon 10:00-11:30", FALL), offered("mon 10:00-11:30", SPRING), "None"),
        (offered("mon 10:00-11:30", FALL), offered("mon 10:00-11:30"), "Monday 10:00-11:30"),
        (offered("mon 10:00-11:30 ..2026-10-01", FALL), offered("mon 10:00-11:30 2026-10-02..", FALL), "None"),
        # 5 October 2026 is a Monday.
        (offered("mon 8:00-9:00 ..2026-10-05"), offered("mon 8:00-9:00 2026-10-05.."), "Monday 08:00-09:00"),
        (offered("tue 8:00-9:00 ..2026-10-05"), offered("tue 8:00-9:00 2026-10-05.."), "None"),
        (offered("tue 8:00-9:00 ..2026-10-06"), offered("tue 8:00-9:00 2026-10-05.."), "Tuesday 08:00-09:00"),
        (offered("mon 8:00-9:00; wed 8:00-9:00"), offered("tue 8:00-9:00; wed 8:30-8:45"), "Wednesday 08:30-08:45"),
    ],
)
def test_two_courses_conflict_if_they_meet_on_a_day_at_the_same_time(first, second, conflict):
    assert str(meeting_conflict(first, second)) == conflict
    assert str(meeting_conflict(second, first)) == conflict
