"""The maximum of credits in a term: what counts, whose maximum applies, and who gets a seat when credits are free."""

from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from courses.models import Course, Term
from school.refusals import Refused
from students.enrollment import complete, drop, enroll, execute, preview_commands, undo
from students.enrollment.commands import EnrollmentCommand, OnFull
from students.models import Action, EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db


def reasons_against(student, course, actor):
    try:
        enroll(student_id=student.pk, course_id=course.pk, actor=actor)
    except Refused as refused:
        return [(refusal.code, refusal.message) for refusal in refused.refusals]
    return []


@pytest.mark.parametrize(
    ("of_term", "of_student", "held", "more", "message"),
    [
        (18, None, 15, 3, None),
        (18, None, 15, "3.01", "15 of 18 credits are taken; MATH-2 has 3.01."),
        (18, None, 18, 3, "18 of 18 credits are taken; MATH-2 has 3."),
        (18, 21, 18, 3, None),
        (18, 12, 10, 3, "10 of 12 credits are taken; MATH-2 has 3."),
        (None, 12, 10, "2.5", "10 of 12 credits are taken; MATH-2 has 2.5."),
        (None, None, 900, 900, None),
        (18, 0, None, 1, "0 of 0 credits are taken; MATH-2 has 1."),
        (18, None, 18, 0, None),
        (18, None, 18, None, None),
    ],
)
def test_the_maximum_of_the_student_replaces_that_of_the_term(of_term, of_student, held, more, message, actor):
    student, term = make_student(max_credits=of_student), make_term(max_credits=of_term)
    if held:
        enroll(student_id=student.pk, course_id=make_course(term=term, credits=held).pk, waived_codes=[], actor=actor)
    course = make_course(code="MATH-2", term=term, credits=more)
    course.refresh_from_db()

    assert reasons_against(student, course, actor) == ([("too_many_credits", message)] if message else [])


def test_enrolled_and_completed_courses_of_the_term_count_and_no_others(actor):
    student, term = make_student(), make_term(max_credits=12)
    enrolled, completed, dropped, waitlisted = (make_course(term=term, credits=3) for _ in range(4))
    Course.objects.filter(pk=waitlisted.pk).update(capacity=0, waitlist_capacity=1)
    for course in (enrolled, completed, dropped, waitlisted, make_course(term=make_term(), credits=9), make_course()):
        enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
    complete(student_id=student.pk, course_id=completed.pk, actor=actor)
    drop(student_id=student.pk, course_id=dropped.pk, actor=actor)
    course = make_course(code="MATH-2", term=term, credits=7)

    assert reasons_against(student, course, actor) == [("too_many_credits", "6 of 12 credits are taken; MATH-2 has 7.")]


def test_each_command_of_a_batch_counts_for_the_next(actor):
    student, term = make_student(), make_term(max_credits=6)
    courses = [make_course(term=term, credits=3) for _ in range(3)]
    acts = [EnrollmentCommand(Action.ENROLL, student.pk, course.pk) for course in courses]
    acts += [EnrollmentCommand(Action.DROP, student.pk, courses[0].pk), acts[2]]

    outcomes = execute(acts, actor)

    assert [outcome.accepted for outcome in outcomes] == [True, True, False, True, True]


def passed_over(actor, **fields):
    """Return a student who was passed over in a course because of the credits, that course, and the one that counts."""
    student, leaving, term = make_student(), make_student(), make_term(max_credits=4)
    other, wanted = make_course(term=term, credits=3), make_course(term=term, credits=3, capacity=1, **fields)
    Course.objects.filter(pk=wanted.pk).update(waitlist_capacity=None)
    for each in (leaving, student):
        enroll(student_id=each.pk, course_id=wanted.pk, on_full=OnFull.WAITLIST, actor=actor)
    enroll(student_id=student.pk, course_id=other.pk, actor=actor)
    drop(student_id=leaving.pk, course_id=wanted.pk, actor=actor)
    event = EnrollmentEvent.objects.latest("pk")
    assert (event.action, event.refusals) == ("pass_over", ["too_many_credits"])
    assert str(event.reason).startswith("3 of 4 credits are taken; ")
    return student, wanted, other


def has_seat(student, course):
    return StudentCourse.objects.enrolled().filter(student=student, course=course).exists()


def test_a_drop_gives_the_student_the_free_seat_that_the_credits_kept_from_them(actor):
    student, wanted, other = passed_over(actor)
    command = EnrollmentCommand(Action.DROP, student.pk, other.pk)

    shown = preview_commands([command], actor)
    drop(student_id=student.pk, course_id=other.pk, actor=actor)

    assert has_seat(student, wanted)
    assert [effect.event.action for effect in shown.side_effects] == ["promote"]
    assert EnrollmentEvent.objects.latest("pk").action == "promote"


def test_an_undo_frees_credits_and_is_refused_without_them(actor):
    student, wanted, other = passed_over(actor)

    undo(student_id=student.pk, course_id=other.pk, actor=actor)
    assert has_seat(student, wanted)

    drop(student_id=student.pk, course_id=wanted.pk, actor=actor)
    enroll(student_id=student.pk, course_id=other.pk, actor=actor)
    with pytest.raises(Refused, match="3 of 4 credits are taken"):
        undo(student_id=student.pk, course_id=wanted.pk, actor=actor)


def test_a_completion_frees_no_credits(actor):
    student, wanted, other = passed_over(actor)

    complete(student_id=student.pk, course_id=other.pk, actor=actor)

    assert not has_seat(student, wanted)


def test_a_larger_maximum_or_fewer_credits_promote_the_student(api, actor):
    for number in range(2):
        student, wanted, other = passed_over(actor)
        change = {f"/api/v1/students/{student.pk}": {"max_credits": 6}, f"/api/v1/courses/{other.pk}": {"credits": 1}}
        path, body = [*change.items()][number]

        assert api.patch(path, body).status_code == 200

        assert has_seat(student, wanted)


@pytest.mark.parametrize("way", ["api", "batch", "admin", "import"])
def test_a_larger_maximum_of_the_term_promotes_the_student(way, api, registrar_client, actor, tmp_path):
    student, wanted, _other = passed_over(actor)
    term = Term.objects.get(pk=wanted.term_id)
    values = {"code": term.code, "name": term.name, "starts_on": str(term.starts_on), "ends_on": str(term.ends_on)}
    values["max_credits"] = "60"
    match way:
        case "api":
            assert api.patch(f"/api/v1/terms/{term.pk}", {"max_credits": 60}).status_code == 200
        case "batch":
            assert api.post("/api/v1/terms/batch", {"items": [{**values, "max_credits": 60}]}).status_code == 200
        case "admin":
            address = reverse("admin:courses_term_change", args=[term.pk])
            assert registrar_client.post(address, values).status_code == 302
        case "import":
            file = tmp_path / "terms.csv"
            file.write_text(",".join(values).replace("code", "term") + "\n" + ",".join(values.values()) + "\n")
            call_command("import_terms", file)

    assert has_seat(student, wanted)


def test_an_import_of_fewer_credits_promotes_the_student(actor, tmp_path):
    student, wanted, other = passed_over(actor)
    file = tmp_path / "courses.csv"
    file.write_text(f"course_code,term,name,credits\n{other.code},{other.term.code},A course,0\n")

    call_command("import_courses", file)

    assert has_seat(student, wanted)


@pytest.mark.parametrize("action", [Action.ENROLL, Action.DROP, Action.COMPLETE])
def test_credits_cost_two_queries_and_no_credits_none(action, actor):
    costs = []
    for fields in ({}, {}, {"credits": 1}, {"credits": 1}):
        student, course = make_student(), make_course(term=make_term(max_credits=3), **fields)
        if action != Action.ENROLL:
            enroll(student_id=student.pk, course_id=course.pk, actor=actor)
        with CaptureQueriesContext(connection) as queries:
            execute([EnrollmentCommand(action, student.pk, course.pk)], actor)
        costs.append(len(queries))

    assert [cost - costs[1] for cost in costs[1:]] == [0, 2, 2]


INVALID = [
    (-1, "min_value"),
    (1000, "max_digits"),
    (2.125, "max_decimal_places"),
    ("3", "invalid"),
    (True, "invalid"),
    ([], "invalid"),
]


@pytest.mark.parametrize(("value", "code"), INVALID)
@pytest.mark.parametrize(
    ("path", "name"), [("courses", "credits"), ("terms", "max_credits"), ("students", "max_credits")]
)
def test_the_api_refuses_invalid_credits(api, path, name, value, code):
    row = {"courses": make_course, "terms": make_term, "students": make_student}[path]()

    answer = api.patch(f"/api/v1/{path}/{row.pk}", {name: value})

    errors = [(each["code"], each["field"]) for each in answer.json()["errors"]]
    assert (answer.status_code, errors[0][1]) == (400, name)
    assert code in {each for each, _field in errors} or code == "max_digits"


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("2,5", Decimal("2.5")), ("0", 0), ("", None), ("-1", "min_value"), ("1e2", "invalid")],
)
def test_a_file_has_credits_with_a_point_or_a_comma(tmp_path, text, value):
    file, report = tmp_path / "courses.csv", tmp_path / "report.csv"
    file.write_text(f'course_code,name,level,credits\nMATH-1,Calculus,introductory,"{text}"\n')
    try:
        call_command("import_courses", file, report=str(report))
    except CommandError:
        assert not Course.objects.exists()
        assert f"error,{value},credits," in report.read_text()
    else:
        assert Course.objects.get().credits == value


@pytest.mark.parametrize(
    ("make", "name"), [(make_course, "credits"), (make_term, "max_credits"), (make_student, "max_credits")]
)
def test_the_database_refuses_negative_credits(make, name):
    with pytest.raises(IntegrityError, match="not_negative"):
        make(**{name: -1})


def test_the_admin_shows_and_refuses_credits(admin_client):
    course = make_course(credits=Decimal("3.00"))
    path = reverse("admin:courses_course_change", args=[course.pk])
    assert admin_client.get(path).context["adminform"].form["credits"].value() == "3"
    fields = {"code": "C", "name": "A course", "level": "introductory", "waitlist_capacity": 0, "credits": "-1"}

    answer = admin_client.post(path, fields)

    assert answer.context["adminform"].errors["credits"] == ["Ensure this value is greater than or equal to 0."]
    assert (Term.objects.count(), Student.objects.count()) == (0, 0)
