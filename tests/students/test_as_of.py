"""Lists and exports as of an earlier instant are those that were taken then."""

import random
from datetime import UTC, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from courses.api_client_creation import create_api_client
from school.access.access_log import Door
from school.models import ApiClient
from students.enrollment import complete, drop, enroll, execute
from students.enrollment.actor_context import ActorContext
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.exports import ENROLLMENTS
from students.models import Action, Channel, StudentCourse
from students.privacy.erase import erase
from students.privacy.person_lookup import person_of
from tests.security.test_access import bearer
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

ACTIONS = [Action.ENROLL] * 5 + [Action.DROP] * 2 + [Action.COMPLETE, Action.UNDO]


def text_of(export):
    return "".join(text for _count, text in export)


def pages_of(api, url):
    rows, url = [], f"/api/v1/{url}"
    while url:
        answer = api.get(url).json()
        rows += answer["results"]
        url = answer["next"]
    return rows


def answers(api, courses, student, as_of=""):
    """Return the rosters, the lists and the export of now, or of an instant."""
    suffix = f"&as_of={as_of}" if as_of else ""
    rosters = [
        api.get(f"/api/v1/courses/{course.pk}/students?status=all{suffix}", headers={"Accept": "text/csv"})
        for course in courses
    ]
    return (
        [b"".join(each.streaming_content).decode() for each in rosters],
        pages_of(api, f"enrollments?status=all&page_size=100{suffix}"),
        pages_of(api, f"enrollments?ordering=-updated_at{suffix}"),
        pages_of(api, f"courses/{courses[0].pk}/students?ordering=family_name&page_size=5{suffix}"),
        pages_of(api, f"students/{student.pk}/courses?status=completed,dropped&ordering=course_code{suffix}"),
    )


def act_at_random(api, actor, acts, instants=20):
    """Act at random; compare the answers at as many instants with those that are given for them at the end."""
    chance = random.Random(21)
    courses = [make_course(capacity=5, waitlist_capacity=None) for _ in range(8)]
    students = [make_student() for _ in range(30)]
    then = []
    for number in range(acts):
        student, course = chance.choice(students), chance.choice(courses)
        action = chance.choice(ACTIONS)
        grade = chance.choice(["", "A", "B"]) if action == Action.COMPLETE else None
        on_full = chance.choice([*OnFull])
        execute([EnrollmentCommand(action, student.pk, course.pk, grade, on_full=on_full)], actor)
        if number % (acts // instants) == acts // instants - 1:
            export = text_of(ENROLLMENTS.stream(StudentCourse.objects.all()))
            instant = timezone.now()
            then.append((instant, answers(api, courses, students[0]), export))
    assert len(then) == instants
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum does, which does not see the rows of this transaction
    for instant, expected, export in then:
        as_of = instant.isoformat().replace("+00:00", "Z")
        assert answers(api, courses, students[0], as_of) == expected
        assert text_of(ENROLLMENTS.stream(StudentCourse.objects.all(), instant)) == export


def test_lists_and_exports_of_the_past_equal_those_taken_then(api, actor):
    act_at_random(api, actor, acts=400)


def test_lists_and_exports_after_ten_thousand_acts_equal_those_taken_then(api, actor):
    act_at_random(api, actor, acts=10_000)


DAY = timedelta(days=1)


@pytest.fixture
def first_day():
    """An instant in the past at which the journal of a test may begin."""
    return timezone.now().replace(microsecond=0) - 10 * DAY


def errors(answer):
    return answer.status_code, [(each["code"], each["field"]) for each in answer.json()["errors"]]


def enrolled_then_dropped(first_day, **course):
    """Enroll a student on the first day, drop on the fifth; return the enrollment."""
    student, made = make_student(), make_course(**course)
    for days, act in ((0, enroll), (5, drop)):
        actor = ActorContext(Channel.COMMAND, at=first_day + days * DAY)
        outcome = act(student_id=student.pk, course_id=made.pk, actor=actor)
    return outcome.enrollment


def text(instant):
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("path", ["enrollments", "courses/{course}/students", "students/{student}/courses"])
@pytest.mark.parametrize(
    ("value", "status", "expected"),
    [
        ("2999-01-01", 400, "in_future"),
        ("2999-01-01T00:00:00Z", 400, "in_future"),
        ("yesterday", 400, "invalid"),
        ("2026-13-01", 400, "invalid"),
        ("2026-10-01T10:00:00", 400, "naive_instant"),
        ("2026-10-01 10:00", 400, "naive_instant"),
        ("0001-01-01", 400, "year_out_of_range"),
        ("9999-12-31", 400, "year_out_of_range"),
        ("census:NONE", 400, "term_not_found"),
        ("census:", 400, "term_not_found"),
        ("census:WITHOUT", 400, "no_census_day"),
        ("", 400, "blank"),
        ("1990-01-01", 410, "not_kept"),
        ("1990-01-01T00:00:00Z", 410, "not_kept"),
    ],
)
def test_a_time_without_enrollments_to_show_is_refused(api, first_day, path, value, status, expected):
    enrollment = enrolled_then_dropped(first_day)
    make_term(code="WITHOUT")

    answer = api.get(
        f"/api/v1/{path.format(course=enrollment.course_id, student=enrollment.student_id)}", {"as_of": value}
    )

    assert errors(answer) == (status, [(expected, "as_of")])


def test_a_day_means_its_end_and_today_means_now(api, first_day):
    enrollment = enrolled_then_dropped(first_day)
    days = [timezone.localdate(first_day + number * DAY) for number in range(11)]

    found = [
        [row["status"] for row in api.get(f"/api/v1/enrollments?status=all&as_of={day}").json()["results"]]
        for day in days
    ]

    assert enrollment.status == "dropped"
    assert found == [["enrolled"]] * 5 + [["dropped"]] * 6


def test_the_census_day_of_a_term_is_a_name_for_its_date(api, first_day):
    day = timezone.localdate(first_day + 2 * DAY)
    make_term(code="2026F", starts_on=day - 300 * DAY, census_on=day)
    enrollment = enrolled_then_dropped(first_day)

    answer = api.get(f"/api/v1/courses/{enrollment.course_id}/students?as_of=census:2026F")

    assert [row["status"] for row in answer.json()["results"]] == ["enrolled"]
    assert api.get(f"/api/v1/courses/{enrollment.course_id}/students").json()["results"] == []


def test_an_instant_is_exact(api, first_day):
    enrollment = enrolled_then_dropped(first_day)
    drop_at = first_day + 5 * DAY

    found = [
        api.get("/api/v1/enrollments?status=all", {"as_of": text(instant), "status": "all"}).json()["results"][0]
        for instant in (first_day, drop_at - timedelta(microseconds=1), drop_at)
    ]

    assert [(row["status"], row["version"], row["updated_at"]) for row in found] == [
        ("enrolled", 1, text(first_day)),
        ("enrolled", 1, text(first_day)),
        ("dropped", 2, text(drop_at)),
    ]
    assert {row["id"] for row in found} == {enrollment.pk}


def test_an_erased_name_stays_erased(api, first_day):
    enrollment = enrolled_then_dropped(first_day)
    name = enrollment.student.family_name
    erase_student(enrollment.student)

    answer = api.get("/api/v1/enrollments", {"as_of": text(first_day)})
    csv = api.get(
        f"/api/v1/courses/{enrollment.course_id}/students", {"as_of": text(first_day)}, headers={"Accept": "text/csv"}
    )

    assert [row["student"]["family_name"] for row in answer.json()["results"]] == [""]
    assert name not in answer.content.decode()
    assert name not in b"".join(csv.streaming_content).decode()


def erase_student(student):
    erase(person_of(student), reason="asked", door=Door.COMMAND)


def test_a_limited_client_sees_only_its_own_rows_and_terms(first_day):
    own = enrolled_then_dropped(first_day, code="OWN")
    foreign = enrolled_then_dropped(first_day, code="FOREIGN", term=make_term(code="F", census_on="2026-10-01"))
    keys = create_api_client("limited", "enrollments:read", courses=["OWN"])
    client = bearer(ApiClient.objects.get(client_id=keys.client_id), ["enrollments:read"])

    lists = client.get("/api/v1/enrollments", {"as_of": text(first_day)})

    assert [row["id"] for row in lists.json()["results"]] == [own.pk]
    assert client.get(f"/api/v1/courses/{foreign.course_id}/students", {"as_of": text(first_day)}).status_code == 404
    assert errors(client.get("/api/v1/enrollments?as_of=census:F")) == (400, [("term_not_found", "as_of")])


def test_related_objects_and_chosen_fields_are_those_of_the_list(api, first_day):
    enrolled_then_dropped(first_day)

    whole = api.get("/api/v1/enrollments?expand=student,course", {"as_of": text(first_day), "expand": "student,course"})
    part = api.get("/api/v1/enrollments", {"as_of": text(first_day), "fields": "status,version"})

    assert [row["status"] for row in whole.json()["results"]] == ["enrolled"]
    assert part.json()["results"] == [{"status": "enrolled", "version": 1}]


def exported(*options):
    output = StringIO()
    call_command("export_enrollments", *options, stdout=output)
    return output.getvalue().splitlines()[1:]


def test_the_command_exports_an_earlier_time(first_day):
    enrollment = enrolled_then_dropped(first_day)
    row = f"{enrollment.student.student_number},{enrollment.course.code},,,%s,,"

    assert exported("--as-of", text(first_day)) == [row % "enrolled"]
    assert exported() == [row % "dropped"]
    with pytest.raises(CommandError, match="--as-of: This time is in the future"):
        exported("--as-of", "2999-01-01")
    with pytest.raises(CommandError, match="--as-of: The journal begins at"):
        exported("--as-of", "1990-01-01")


def test_the_admin_exports_an_earlier_time(registrar_client, first_day):
    enrollment = enrolled_then_dropped(first_day)
    course = f"/admin/courses/course/{enrollment.course_id}"
    query = {"as_of": text(first_day)}
    pages = [
        ("/admin/students/studentcourse/export-as-of/", query),
        (f"{course}/roster.csv", query),
        (f"{course}/roster/", query),
    ]

    for address, values in pages:
        now = registrar_client.get(address)
        then = registrar_client.get(address, values)
        content = b"".join(then.streaming_content) if then.streaming else then.content
        assert now.status_code == 200
        assert enrollment.student.student_number in content.decode()
    number = enrollment.student.student_number
    assert number not in registrar_client.get(f"{course}/roster/").content.decode()


@pytest.mark.parametrize("value", ["2999-01-01", "1990-01-01", "yesterday", "census:NONE"])
def test_the_admin_refuses_a_time_without_enrollments(registrar_client, first_day, value):
    enrollment = enrolled_then_dropped(first_day)
    course = f"/admin/courses/course/{enrollment.course_id}"

    form = registrar_client.get("/admin/students/studentcourse/export-as-of/", {"as_of": value})
    roster = registrar_client.get(f"{course}/roster.csv", {"as_of": value}, follow=True)

    assert form.status_code == 200
    assert form.context["form"].errors["as_of"]
    assert [str(each) for each in roster.context["messages"]] == form.context["form"].errors["as_of"]


def test_an_import_entry_with_an_earlier_time_than_the_one_before_it_is_not_shown_too_early(api, first_day):
    """An import writes entries with the time at which it began; another request may have written in between."""
    student, course = make_student(), make_course()
    enroll(student_id=student.pk, course_id=course.pk, actor=ActorContext(Channel.COMMAND, at=first_day))
    for hours, grade in ((2, ""), (1, "A")):
        actor = ActorContext(Channel.COMMAND, at=first_day + timedelta(hours=hours))
        complete(student_id=student.pk, course_id=course.pk, grade=grade, actor=actor)

    found = api.get("/api/v1/enrollments", {"as_of": text(first_day + timedelta(minutes=30)), "status": "all"})

    assert [row["status"] for row in found.json()["results"]] == ["enrolled"]
