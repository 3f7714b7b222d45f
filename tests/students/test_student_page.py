"""The page of a student, and the box that says what enrolling would do."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from students.enrollment import complete, drop, enroll, judge
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, Student, StudentCourse
from tests.factories import make_course, make_student, make_term
from tests.queries import cost_of

pytestmark = pytest.mark.django_db


def page_of(student, query=""):
    return f"/admin/students/student/{student.pk}/change/{query}"


def term(code, starts_in, ends_in):
    today = timezone.localdate()
    return make_term(
        code=code, name=code, starts_on=today + timedelta(days=starts_in), ends_on=today + timedelta(days=ends_in)
    )


def put(student, course, origin, **more):
    return enroll(student_id=student.pk, course_id=course.pk, origin=origin, **more).enrollment


def told(answer):
    """Return the schedules, each as its term, its label, and courses with places."""
    return [
        (
            schedule.term.code if schedule.term else None,
            "running" if schedule.is_running else "next" if schedule.is_next else "",
            [(row.course.code, row.waitlist_position) for row in schedule.enrollments],
        )
        for schedule in answer.context["schedules"]
    ]


def test_the_running_term_comes_first_with_places_in_line_then_other_terms(registrars_desk, origin):
    student, running = make_student(), term("NOW", -10, 10)
    full = make_course(code="FULL", term=running, capacity=1, waitlist_capacity=9)
    for each in (make_student(), make_student(), student):
        put(each, full, origin, on_full=OnFull.WAITLIST)
    for code, of_term in (("A", running), ("B", term("LATER", 20, 30)), ("C", term("OVER", -90, -60)), ("D", None)):
        past = {"waive": ["term_ended"], "reason": "taken over from paper"} if code == "C" else {}
        put(student, make_course(code=code, term=of_term), replace(origin, may_waive=True), **past)

    answer = registrars_desk.get(page_of(student))

    assert told(answer) == [
        ("NOW", "running", [("A", None), ("FULL", 2)]),
        ("OVER", "", [("C", None)]),
        ("LATER", "", [("B", None)]),
        (None, "", [("D", None)]),
    ]
    assert answer.context["standing"] == {"enrolled": 4, "waiting": 1, "completed": 0, "left": 0}


def test_where_no_term_runs_the_next_comes_first_be_it_empty(registrars_desk):
    term("OVER", -90, -60)
    term("AFTER", 40, 50)
    term("NEXT", 20, 30)

    assert told(registrars_desk.get(page_of(make_student()))) == [("NEXT", "next", [])]


def test_of_two_terms_that_run_the_one_that_began_last_comes_first(registrars_desk):
    term("YEAR", -100, 100)
    term("FALL", -10, 10)

    assert told(registrars_desk.get(page_of(make_student()))) == [("FALL", "running", [])]


def test_what_has_ended_is_listed_with_its_grade_the_newest_first(registrars_desk, origin):
    student = make_student()
    left, done = make_course(code="A"), make_course(code="B")
    for course in (left, done):
        put(student, course, origin)
    complete(student_id=student.pk, course_id=done.pk, grade="B+", origin=origin)
    drop(student_id=student.pk, course_id=left.pk, origin=origin)

    answer = registrars_desk.get(page_of(student))

    assert [(row.course.code, row.status, row.grade) for row in answer.context["past"]] == [
        ("B", "completed", "B+"),
        ("A", "dropped", ""),
    ]
    assert told(answer) == []


def test_a_students_page_has_the_timeline_and_the_form_in_tabs(registrars_desk, origin):
    student = make_student()
    put(student, make_course(), origin, reason="transfer")

    timeline = registrars_desk.get(page_of(student, "?tab=timeline"))

    assert [tab.title for tab in timeline.context["tabs"]] == ["Courses", "Timeline", "Details"]
    assert [event.reason for event in timeline.context["events"]] == ["transfer"]
    assert 'name="given_name"' in registrars_desk.get(page_of(student, "?tab=form")).content.decode()


def test_a_student_with_many_courses_costs_what_one_with_few_does(registrars_desk, origin):
    student, running = make_student(), term("NOW", -10, 10)
    costs = []
    for _ in range(2):
        for _ in range(3):
            put(student, make_course(term=running), origin)
        registrars_desk.get(page_of(student))
        with CaptureQueriesContext(connection) as queries:
            registrars_desk.get(page_of(student))
        costs.append(cost_of(queries))

    assert costs[0] == costs[1]
    assert costs[0] < 15


def ask(desk, student, **wish):
    answer = desk.post(f"/admin/students/student/{student.pk}/enroll/", {**wish, "ask": "1"})
    assert answer.status_code == 200
    return answer.context["answer"]


def messages_of(answer):
    return [str(message) for message in answer.context["messages"]]


@pytest.fixture
def ada(db):
    return make_student(student_number="S-7", given_name="Ada", family_name="Byron")


@pytest.fixture
def full(db, origin):
    """One seat, and one who waits for it."""
    course = make_course(code="FULL", name="Crowded", capacity=1, waitlist_capacity=5)
    for _ in range(2):
        put(make_student(), course, origin, on_full=OnFull.WAITLIST)
    return course


def test_the_box_says_enrolled_and_then_that_happens(registrars_desk, registrar, ada):
    course = make_course(code="MATH-101", name="Calculus I")

    assert ask(registrars_desk, ada, course=course.pk) == {"kind": "enrolled", "place": None}
    assert StudentCourse.objects.count() == 0
    done = registrars_desk.post(
        f"/admin/students/student/{ada.pk}/enroll/", {"course": course.pk, "reason": "transfer"}, follow=True
    )

    event = EnrollmentEvent.objects.get()
    assert (event.enrollment.pair, event.to_status) == ((ada.pk, course.pk), "enrolled")
    assert (event.actor, event.channel, event.reason) == (registrar, "admin", "transfer")
    assert done.redirect_chain == [(page_of(ada), 302)]
    assert messages_of(done) == ["S-7 Ada Byron is enrolled in MATH-101 Calculus I."]


def test_the_box_says_at_which_place_and_then_that_happens(registrars_desk, ada, full):
    wish = {"course": full.pk, "on_full": "waitlist"}

    assert ask(registrars_desk, ada, **wish) == {"kind": "waitlisted", "place": 2}
    done = registrars_desk.post(f"/admin/students/student/{ada.pk}/enroll/", wish, follow=True)

    assert StudentCourse.objects.get(student=ada).waitlist_position == 2
    assert messages_of(done) == ["No seat is free. The student is on the waitlist, at position 2."]


def test_the_box_says_every_reason_against_it_and_then_nothing_happens(registrars_desk, full):
    gone = make_student(is_active=False)

    answer = ask(registrars_desk, gone, course=full.pk)
    done = registrars_desk.post(f"/admin/students/student/{gone.pk}/enroll/", {"course": full.pk})

    codes = [refusal.code for refusal in answer["refusals"]]
    assert (answer["kind"], codes, answer["could_wait_at"]) == ("refused", ["student_inactive", "course_full"], None)
    assert done.context["answer"]["refusals"] == answer["refusals"]
    assert StudentCourse.objects.filter(student=gone).count() == 0


def test_who_is_refused_for_want_of_a_seat_hears_where_they_could_wait(registrars_desk, ada, full):
    answer = ask(registrars_desk, ada, course=full.pk)

    assert ([refusal.code for refusal in answer["refusals"]], answer["could_wait_at"]) == (["course_full"], 2)
    full.waitlist_capacity = 1
    full.save()
    assert ask(registrars_desk, ada, course=full.pk)["could_wait_at"] is None


def test_the_box_says_that_it_is_so_already(registrars_desk, ada, origin):
    course = make_course(code="MATH-101")
    put(ada, course, origin)

    answer = ask(registrars_desk, ada, course=course.pk)

    assert (answer["kind"], answer["errors"]) == (
        "already",
        ["This student is already enrolled in MATH-101 or on its waitlist."],
    )


def test_a_waiver_is_told_to_take_a_reason_and_lets_past_the_line(registrars_desk, ada, full):
    wish = {"course": full.pk, "waive": ["course_full"]}

    assert [refusal.code for refusal in ask(registrars_desk, ada, **wish)["refusals"]] == ["waiver_needs_reason"]
    assert ask(registrars_desk, ada, **wish, reason="last term") == {"kind": "enrolled", "place": None}
    registrars_desk.post(f"/admin/students/student/{ada.pk}/enroll/", {**wish, "reason": "last term"})
    assert EnrollmentEvent.objects.latest("pk").waived == ["course_full"]


@pytest.mark.parametrize(
    "wish",
    [{}, {"course": ""}, {"course": "x"}, {"course": "9" * 30}, {"course": "-1"}, {"course": "1", "on_full": "x"}],
)
def test_a_box_that_is_not_filled_in_asks_for_more(registrars_desk, ada, wish):
    assert ask(registrars_desk, ada, **wish)["kind"] == "incomplete"
    assert registrars_desk.post(f"/admin/students/student/{ada.pk}/enroll/", wish).status_code == 200
    assert StudentCourse.objects.count() == 0


def test_a_box_is_of_its_own_student_whatever_else_is_sent(registrars_desk, ada):
    course, other = make_course(), make_student()

    registrars_desk.post(f"/admin/students/student/{ada.pk}/enroll/", {"course": course.pk, "student": other.pk})

    assert StudentCourse.objects.get().student == ada


def test_a_course_has_the_box_too(registrars_desk, ada, full):
    address = f"/admin/courses/course/{full.pk}/enroll/"

    answer = registrars_desk.post(address, {"student": ada.pk, "on_full": "waitlist", "ask": "1"})
    done = registrars_desk.post(address, {"student": ada.pk, "on_full": "waitlist"})

    assert answer.context["answer"] == {"kind": "waitlisted", "place": 2}
    assert (done.status_code, done["Location"]) == (302, f"/admin/courses/course/{full.pk}/change/")
    assert StudentCourse.objects.get(student=ada).status == "waitlisted"


def test_a_fragment_is_the_answer_alone(registrars_desk, ada):
    wish = {"course": make_course().pk, "ask": "1", "fragment": "1"}

    answer = registrars_desk.post(f"/admin/students/student/{ada.pk}/enroll/", wish).content.decode().strip()

    assert answer == '<p class="desk-message success" data-kind="enrolled">Would be enrolled: a seat is free.</p>'


def test_the_box_is_for_who_may_enroll(viewer, client, ada):
    client.force_login(viewer)

    assert "box" not in client.get(page_of(ada)).context
    assert client.post(f"/admin/students/student/{ada.pk}/enroll/", {"ask": "1"}).status_code == 403


def test_a_link_to_the_box_leads_to_the_page_and_of_nobody_nowhere(registrars_desk, ada):
    assert registrars_desk.get(f"/admin/students/student/{ada.pk}/enroll/")["Location"] == page_of(ada)
    assert registrars_desk.post(f"/admin/students/student/{ada.pk + 1}/enroll/").status_code == 404


def test_who_is_deactivated_while_the_box_is_sent_is_refused(registrars_desk, ada, monkeypatch):
    def ask_then_change(acts, origin, **how):
        outcomes = judge(acts, origin, **how)
        Student.objects.update(is_active=False)
        return outcomes

    monkeypatch.setattr("students.admin.enrollments.judge", ask_then_change)

    done = registrars_desk.post(f"/admin/students/student/{ada.pk}/enroll/", {"course": make_course().pk}, follow=True)

    assert messages_of(done) == ["This student is not active."]
    assert StudentCourse.objects.count() == 0


def test_an_erased_student_has_no_box(registrars_desk, ada):
    Student.objects.filter(pk=ada.pk).update(
        student_number=f"erased-{ada.pk}",
        given_name="",
        family_name="",
        email="",
        is_active=False,
        erased_at=timezone.now(),
    )

    assert "box" not in registrars_desk.get(page_of(ada)).context
