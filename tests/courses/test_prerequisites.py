"""Prerequisites in the rules, in the API and in the admin."""

import pytest
from django.core.exceptions import ValidationError

from courses.models import Course
from courses.prerequisites import check_prerequisites
from students.enrollment import complete, drop, enroll, execute
from students.enrollment.commands import EnrollmentCommand
from students.models import Action
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db


def codes(error):
    return [each.code for each in error.value.error_dict["prerequisites"]]


def apply_commands(student, course, actor, *verbs):
    for verb in (enroll, *verbs):
        verb(student_id=student.pk, course_id=course.pk, actor=actor)


def test_a_prerequisite_completed_in_any_term_counts(actor):
    student = make_student()
    earlier = make_course(code="MATH-101", term=make_term(code="2025F"))
    make_course(code="MATH-101", term=make_term(code="2026F"))
    following = make_course(code="MATH-201", prerequisites=["MATH-101"])
    apply_commands(student, earlier, actor, complete)

    assert enroll(student_id=student.pk, course_id=following.pk, actor=actor).changed


@pytest.mark.parametrize("verbs", [(), (drop,)], ids=["enrolled", "dropped"])
def test_only_completed_prerequisites_count(actor, verbs, api):
    student, first = make_student(), make_course(code="MATH-101")
    following = make_course(code="MATH-201", prerequisites=["MATH-101"])
    apply_commands(student, first, actor, *verbs)

    answer = api.post(f"/api/v1/students/{student.pk}/courses", {"course_id": following.pk})

    assert (answer.status_code, answer.json()["code"]) == (409, "prerequisite_missing")
    assert answer.json()["detail"] == "MATH-201 requires MATH-101 to be completed first."


def test_a_prerequisite_completed_in_a_batch_counts_for_its_next_row(actor):
    student, first = make_student(), make_course(code="MATH-101")
    following = make_course(code="MATH-201", prerequisites=["MATH-101"])
    apply_commands(student, first, actor)

    acts = [
        EnrollmentCommand(Action.COMPLETE, student.pk, first.pk),
        EnrollmentCommand(Action.ENROLL, student.pk, following.pk),
    ]

    assert [outcome.changed for outcome in execute(acts, actor)] == [True, True]


def test_enrolled_students_stay_enrolled_when_a_prerequisite_is_added(actor):
    student, course = make_student(), make_course(code="MATH-201")
    make_course(code="MATH-101")
    apply_commands(student, course, actor)
    Course.objects.filter(pk=course.pk).update(prerequisites=["MATH-101"])

    assert enroll(student_id=student.pk, course_id=course.pk, actor=actor).accepted


@pytest.mark.parametrize(
    ("code", "prerequisites", "expected"),
    [
        ("A", ["A"], ["prerequisite_cycle"]),
        ("A", ["C"], ["prerequisite_cycle"]),
        ("A", ["NONE"], ["course_not_found"]),
        ("A", ["NONE", "C"], ["course_not_found", "prerequisite_cycle"]),
    ],
)
def test_cycles_and_unknown_codes_are_refused(code, prerequisites, expected):
    for name, asked in (("A", []), ("B", ["A"]), ("C", ["B"])):
        make_course(code=name, prerequisites=asked)

    with pytest.raises(ValidationError) as error:
        check_prerequisites(code, prerequisites)

    assert codes(error) == expected


def test_the_error_of_a_cycle_lists_its_courses_in_order():
    for name, asked in (("A", []), ("B", ["A"]), ("C", ["B"])):
        make_course(code=name, prerequisites=asked)

    with pytest.raises(ValidationError, match="These courses would be prerequisites of themselves: A ← C ← B ← A"):
        check_prerequisites("A", ["C"])


def test_prerequisites_of_a_course_can_be_removed():
    make_course(code="A", prerequisites=[])
    course = make_course(code="B", prerequisites=["A"])
    make_course(code="C", prerequisites=[])

    check_prerequisites("B", ["C"], course_id=course.pk)
    check_prerequisites("A", [], course_id=None)


def test_the_api_sets_and_validates_prerequisites(api):
    first, second = make_course(code="A"), make_course(code="B", prerequisites=["A"])

    fine = api.patch("/api/v1/courses/code:B", {"prerequisites": []})
    circle = api.patch(f"/api/v1/courses/{second.pk}", {"prerequisites": ["B"]})
    made = api.post("/api/v1/courses", {"code": "C", "name": "C", "level": "advanced", "prerequisites": ["A", "B"]})
    wrong = api.patch(f"/api/v1/courses/{first.pk}", {"prerequisites": ["A\0", 5]})

    assert (fine.status_code, fine.json()["prerequisites"]) == (200, [])
    assert [(e["code"], e["field"]) for e in circle.json()["errors"]] == [("prerequisite_cycle", "prerequisites")]
    assert (made.status_code, made.json()["prerequisites"]) == (201, ["A", "B"])
    assert wrong.status_code == 400


def test_an_unknown_prerequisite_or_term_is_reported_with_a_similar_one(api):
    make_course(code="MATH-101", term=make_term(code="2026F"))
    body = {"code": "MATH-201", "name": "Algebra", "level": "advanced"}

    answer = api.post("/api/v1/courses", {**body, "prerequisites": ["math 101", "X"], "term": "2026f"})

    assert [(each["field"], each["code"], each["message"]) for each in answer.json()["errors"]] == [
        ("term", "does_not_exist", "There is no term code:2026f. Did you mean code:2026F?"),
    ]
    answer = api.post("/api/v1/courses", {**body, "prerequisites": ["math 101", "X"]})
    assert [(each["field"], each["code"], each["message"]) for each in answer.json()["errors"]] == [
        ("prerequisites", "course_not_found", "There is no course code:X."),
        ("prerequisites", "course_not_found", "There is no course code:math 101. Did you mean code:MATH-101?"),
    ]


def test_a_repeated_prerequisite_is_stored_once(api):
    make_course(code="MATH-101")
    body = {"code": "MATH-201", "name": "Algebra", "level": "advanced", "prerequisites": ["MATH-101", "MATH-101"]}

    assert api.post("/api/v1/courses", body).json()["prerequisites"] == ["MATH-101"]


def test_the_admin_accepts_comma_separated_codes_and_refuses_a_cycle(registrar_client):
    make_course(code="A")
    course = make_course(code="B", name="Two")
    url = f"/admin/courses/course/{course.pk}/change/"
    form = {"code": "B", "name": "Two", "level": "introductory", "is_active": "on"}

    registrar_client.post(url, {**form, "prerequisites": " A , A"})
    assert Course.objects.get(code="B").prerequisites == ["A"]
    assert 'value="A"' in registrar_client.get(f"{url}?tab=form").content.decode()

    refused = registrar_client.post(url, {**form, "prerequisites": "B"})
    assert refused.context["adminform"].form.errors == {
        "prerequisites": ["These courses would be prerequisites of themselves: B ← B."]
    }
