"""The student page of the admin, and its panel that previews an enrollment."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from students.enrollment import complete, drop, dry_run, enroll
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, Student, StudentCourse
from tests.support.factories import make_course, make_student, make_term
from tests.support.queries import cost_of

pytestmark = pytest.mark.django_db


def page_of(student, query=""):
    return f"/admin/students/student/{student.pk}/change/{query}"


def term(code, starts_in, ends_in):
    today = timezone.localdate()
    return make_term(
        code=code, name=code, starts_on=today + timedelta(days=starts_in), ends_on=today + timedelta(days=ends_in)
    )


def add_enrollment(student, course, actor, **more):
    return enroll(student_id=student.pk, course_id=course.pk, actor=actor, **more).enrollment


def schedules_of(answer):
    """Return term, label and courses with waitlist positions of each schedule."""
    return [
        (
            schedule.term.code if schedule.term else None,
            "running" if schedule.is_current else "next" if schedule.is_next else "",
            [(row.course.code, row.waitlist_position) for row in schedule.enrollments],
        )
        for schedule in answer.context["by_term"]
    ]


def test_the_current_term_comes_first_with_waitlist_positions_then_other_terms(registrar_client, actor):
    student, running = make_student(), term("NOW", -10, 10)
    full = make_course(code="FULL", term=running, capacity=1, waitlist_capacity=9)
    for each in (make_student(), make_student(), student):
        add_enrollment(each, full, actor, on_full=OnFull.WAITLIST)
    for code, of_term in (("A", running), ("B", term("LATER", 20, 30)), ("C", term("OVER", -90, -60)), ("D", None)):
        past = {"waived_codes": ["term_ended"], "reason": "taken over from paper"} if code == "C" else {}
        add_enrollment(student, make_course(code=code, term=of_term), replace(actor, may_waive=True), **past)

    answer = registrar_client.get(page_of(student))

    assert schedules_of(answer) == [
        ("NOW", "running", [("A", None), ("FULL", 2)]),
        ("OVER", "", [("C", None)]),
        ("LATER", "", [("B", None)]),
        (None, "", [("D", None)]),
    ]
    assert answer.context["status_counts"] == {"enrolled": 4, "waiting": 1, "completed": 0, "left": 0}


def test_without_a_current_term_the_next_term_comes_first_even_if_empty(registrar_client):
    term("OVER", -90, -60)
    term("AFTER", 40, 50)
    term("NEXT", 20, 30)

    assert schedules_of(registrar_client.get(page_of(make_student()))) == [("NEXT", "next", [])]


def test_of_two_current_terms_the_one_that_started_last_comes_first(registrar_client):
    term("YEAR", -100, 100)
    term("FALL", -10, 10)

    assert schedules_of(registrar_client.get(page_of(make_student()))) == [("FALL", "running", [])]


def test_ended_enrollments_are_listed_with_grades_newest_first(registrar_client, actor):
    student = make_student()
    left, done = make_course(code="A"), make_course(code="B")
    for course in (left, done):
        add_enrollment(student, course, actor)
    complete(student_id=student.pk, course_id=done.pk, grade="B+", actor=actor)
    drop(student_id=student.pk, course_id=left.pk, actor=actor)

    answer = registrar_client.get(page_of(student))

    assert [(row.course.code, row.status, row.grade) for row in answer.context["past_enrollments"]] == [
        ("B", "completed", "B+"),
        ("A", "dropped", ""),
    ]
    assert schedules_of(answer) == []


def test_the_student_page_has_tabs_for_timeline_and_form(registrar_client, actor):
    student = make_student()
    add_enrollment(student, make_course(), actor, reason="transfer")

    timeline = registrar_client.get(page_of(student, "?tab=timeline"))

    assert [tab.title for tab in timeline.context["tabs"]] == ["Courses", "Timeline", "Details"]
    assert [event.reason for event in timeline.context["events"]] == ["transfer"]
    assert 'name="given_name"' in registrar_client.get(page_of(student, "?tab=form")).content.decode()


def test_a_student_with_many_courses_costs_the_queries_of_one_with_few(registrar_client, actor):
    student, running = make_student(), term("NOW", -10, 10)
    costs = []
    for _ in range(2):
        for _ in range(3):
            add_enrollment(student, make_course(term=running), actor)
        registrar_client.get(page_of(student))
        with CaptureQueriesContext(connection) as queries:
            registrar_client.get(page_of(student))
        costs.append(cost_of(queries))

    assert costs[0] == costs[1]
    assert costs[0] < 15


def preview_of(desk, student, **wish):
    answer = desk.post(f"/admin/students/student/{student.pk}/enroll/", {**wish, "ask": "1"})
    assert answer.status_code == 200
    return answer.context["enroll_result"]


ACT = "/admin/students/studentcourse/act/"


def messages_of(answer):
    return [str(message) for message in answer.context["messages"]]


@pytest.fixture
def ada(db):
    return make_student(student_number="S-7", given_name="Ada", family_name="Byron")


@pytest.fixture
def full_course(db, actor):
    """A course with one seat and one waitlisted student."""
    course = make_course(code="FULL", name="Crowded", capacity=1, waitlist_capacity=5)
    for _ in range(2):
        add_enrollment(make_student(), course, actor, on_full=OnFull.WAITLIST)
    return course


def test_the_panel_previews_enrolled_and_the_student_is_enrolled(registrar_client, registrar, ada):
    course = make_course(code="MATH-101", name="Calculus I")

    assert preview_of(registrar_client, ada, course=course.pk) == {
        "kind": "enrolled",
        "sentence": "Would be enrolled: the course has no limit.",
        "notes": [],
        "waived": "",
        "waives_capacity": False,
        "button": "Enroll",
        "on_full": "reject",
    }
    assert StudentCourse.objects.count() == 0
    done = registrar_client.post(
        f"/admin/students/student/{ada.pk}/enroll/", {"course": course.pk, "reason": "transfer"}, follow=True
    )

    event = EnrollmentEvent.objects.get()
    assert (event.enrollment.key, event.to_status) == ((ada.pk, course.pk), "enrolled")
    assert (event.actor, event.channel, event.reason) == (registrar, "admin", "transfer")
    assert done.redirect_chain == [(page_of(ada), 302)]
    assert messages_of(done) == [
        "S-7 Ada Byron is enrolled in MATH-101 Calculus I. Enrolled: 1, no limit. "
        f'<a href="{ACT}?action=undo&amp;chosen={event.enrollment_id}&amp;next={page_of(ada)}">Undo</a>'
    ]


def test_the_panel_previews_the_waitlist_position_and_the_student_gets_it(registrar_client, ada, full_course):
    answer = preview_of(registrar_client, ada, course=full_course.pk)
    assert answer == {
        "kind": "waitlisted",
        "sentence": "Would be waitlisted at 2: no seat is free.",
        "notes": [],
        "waived": "",
        "waives_capacity": False,
        "button": "Add to waitlist",
        "on_full": "waitlist",
    }
    wish = {"course": full_course.pk, "on_full": answer["on_full"]}
    done = registrar_client.post(f"/admin/students/student/{ada.pk}/enroll/", wish, follow=True)

    assert StudentCourse.objects.get(student=ada).waitlist_position == 2
    [message] = messages_of(done)
    assert message.partition(" <a ")[0] == (
        "S-7 Ada Byron is waitlisted at 2 in FULL Crowded. Seats taken: 1 of 1, waitlisted: 2."
    )


def test_the_panel_previews_every_refusal_reason_and_nothing_changes(registrar_client, full_course):
    gone = make_student(is_active=False)

    wish = {"course": full_course.pk, "on_full": "reject"}

    answer = preview_of(registrar_client, gone, **wish)
    done = registrar_client.post(f"/admin/students/student/{gone.pk}/enroll/", wish)

    codes = [refusal.code for refusal in answer["refusals"]]
    assert (answer["kind"], codes, answer["may_waive"]) == ("refused", ["student_inactive", "course_full"], True)
    assert done.context["enroll_result"]["refusals"] == answer["refusals"]
    assert StudentCourse.objects.filter(student=gone).count() == 0


def test_a_full_course_without_room_on_its_waitlist_refuses_in_the_preview(registrar_client, ada, full_course):
    full_course.waitlist_capacity = 1
    full_course.save()

    answer = preview_of(registrar_client, ada, course=full_course.pk)

    assert ([refusal.code for refusal in answer["refusals"]], answer["may_waive"]) == (["waitlist_full"], True)


@pytest.mark.parametrize(
    ("seats", "taken", "waiting", "waive", "sentence"),
    [
        (3, 1, 0, [], "Would be enrolled: a seat is free (2 of 3)."),
        (1, 1, 0, ["course_full"], "Would be enrolled over capacity (2 of 1)."),
        (1, 1, 7, ["course_full"], "Would be enrolled over capacity (2 of 1), ahead of 7 waiting students."),
        (3, 1, 7, ["course_full"], "Would be enrolled (2 of 3), ahead of 7 waiting students."),
        (3, 1, 7, [], "Would be enrolled: a seat is free (2 of 3)."),  # the waiting students cannot take it
        (3, 1, 0, ["course_full"], "Would be enrolled: a seat is free (2 of 3)."),
    ],
)
def test_each_way_of_being_enrolled_has_its_own_sentence(
    registrar_client, ada, actor, seats, taken, waiting, waive, sentence
):
    course = make_course(code="MATH-101", capacity=taken, waitlist_capacity=9)
    for _ in range(taken + waiting):
        add_enrollment(make_student(), course, actor, on_full=OnFull.WAITLIST)
    Student.objects.exclude(pk=ada.pk).update(is_active=False)  # so that they get no free seat
    type(course).objects.filter(pk=course.pk).update(capacity=seats)

    answer = preview_of(registrar_client, ada, course=course.pk, waive=waive, reason="x")

    assert answer["sentence"] == sentence
    done = registrar_client.post(
        f"/admin/students/student/{ada.pk}/enroll/",
        {"course": course.pk, "waive": waive, "reason": "x", "on_full": answer["on_full"]},
        follow=True,
    )
    enrollment = StudentCourse.objects.get(student=ada)
    assert enrollment.status == answer["kind"]
    assert f"of {seats}" in messages_of(done)[0]


@pytest.mark.parametrize(("waive", "kind"), [([], "info"), (["course_full"], "warning")])
def test_the_preview_of_an_enrollment_over_capacity_is_a_warning(registrar_client, ada, full_course, waive, kind):
    wish = {"course": full_course.pk, "waive": waive, "reason": "x", "ask": "1", "fragment": "1"}

    answer = registrar_client.post(f"/admin/students/student/{ada.pk}/enroll/", wish).content.decode()

    assert re.findall(r'class="desk-message (\w+)"', answer) == [kind]


def test_other_waived_rules_are_named_in_the_preview(registrar_client, ada):
    course = make_course(prerequisites=["MATH-100"])

    answer = preview_of(registrar_client, ada, course=course.pk, waive=["prerequisite_missing"], reason="x")

    assert (answer["kind"], answer["waived"], answer["button"]) == ("enrolled", "Prerequisite missing", "Enroll")


def test_a_student_is_not_waitlisted_by_a_button_that_said_enroll(registrar_client, ada, actor):
    course = make_course(capacity=1, waitlist_capacity=5)
    answer = preview_of(registrar_client, ada, course=course.pk)
    add_enrollment(make_student(), course, actor)

    done = registrar_client.post(
        f"/admin/students/student/{ada.pk}/enroll/", {"course": course.pk, "on_full": answer["on_full"]}
    )

    assert [refusal.code for refusal in done.context["enroll_result"]["refusals"]] == ["course_full"]
    assert StudentCourse.objects.filter(student=ada).count() == 0


def test_the_link_of_the_message_previews_the_undo_and_returns_to_the_student(registrar_client, ada):
    course = make_course(capacity=3)
    done = registrar_client.post(f"/admin/students/student/{ada.pk}/enroll/", {"course": course.pk}, follow=True)
    [(link,)] = [re.findall(r'href="([^"]+)"', message) for message in messages_of(done)]

    page = registrar_client.get(link.replace("&amp;", "&"))

    assert [(line.before, line.after) for line in page.context["preview"].changed] == [("enrolled", "dropped")]
    assert (page.context["return_url"], page.context["return_title"]) == (page_of(ada), "Back to S-7 Ada Byron")
    assert StudentCourse.objects.get().status == "enrolled"


def test_the_page_to_add_an_enrollment_has_the_panel(registrar_client, ada, full_course):
    address = "/admin/students/studentcourse/add/"
    form = {"student": ada.pk, "course": full_course.pk}

    page = registrar_client.get(address)
    answer = registrar_client.post(address, {**form, "ask": "1", "fragment": "1"}).content.decode()
    without_script = registrar_client.post(address, {**form, "ask": "1"})
    done = registrar_client.post(address, {**form, "on_full": "waitlist"}, follow=True)

    assert (page.context["enroll_required"], page.content.decode().count('id="enroll-box"')) == ("student course", 1)
    assert [each.context["title"] for each in (page, without_script)] == ["Enroll a student"] * 2
    assert re.findall(r"<h1[^>]*>\s*<span[^>]*>(.*?)</span>", page.content.decode()) == ["Enroll a student"]
    assert "Would be waitlisted at 2: no seat is free." in answer
    assert without_script.context["enroll_result"]["button"] == "Add to waitlist"
    assert done.redirect_chain == [("/admin/students/studentcourse/", 302)]
    assert "S-7 Ada Byron is waitlisted at 2 in FULL Crowded." in messages_of(done)[0]


def row_actions_of(answer):
    return [
        (row.course.code, [action.title for action in row.row_actions])
        for schedule in answer.context["by_term"]
        for row in schedule.enrollments
    ]


def test_each_row_offers_the_actions_that_are_possible_for_its_status(registrar_client, ada, full_course, actor):
    add_enrollment(ada, make_course(code="ART"), actor)
    add_enrollment(ada, full_course, actor, on_full=OnFull.WAITLIST)

    answer = registrar_client.get(page_of(ada))

    assert row_actions_of(answer) == [("ART", ["Complete", "Drop"]), ("FULL", ["Give a seat now", "Drop"])]
    [schedule] = answer.context["by_term"]
    page = registrar_client.get(schedule.enrollments[0].row_actions[1].url)
    assert [(line.course.code, line.after) for line in page.context["preview"].changed] == [("ART", "dropped")]
    assert page.context["return_url"] == page_of(ada)


def test_a_viewer_sees_no_actions_in_rows(viewer, client, ada, actor):
    add_enrollment(ada, make_course(code="ART"), actor)
    client.force_login(viewer)

    assert row_actions_of(client.get(page_of(ada))) == [("ART", [])]


def test_the_panel_says_that_the_student_is_already_enrolled(registrar_client, ada, actor):
    course = make_course(code="MATH-101")
    add_enrollment(ada, course, actor)

    answer = preview_of(registrar_client, ada, course=course.pk)

    assert (answer["kind"], answer["errors"]) == (
        "already",
        ["This student is already enrolled in MATH-101 or on its waitlist."],
    )


def test_a_waiver_in_the_panel_requires_a_reason_and_skips_the_waitlist(registrar_client, ada, full_course):
    wish = {"course": full_course.pk, "waive": ["course_full"]}

    assert [refusal.code for refusal in preview_of(registrar_client, ada, **wish)["refusals"]] == [
        "waiver_needs_reason"
    ]
    answer = preview_of(registrar_client, ada, **wish, reason="last term")
    assert (answer["button"], answer["sentence"]) == (
        "Enroll over capacity",
        "Would be enrolled over capacity (2 of 1), ahead of 1 waiting student.",
    )
    registrar_client.post(f"/admin/students/student/{ada.pk}/enroll/", {**wish, "reason": "last term"})
    assert EnrollmentEvent.objects.latest("pk").waived == ["course_full"]


@pytest.mark.parametrize(
    "wish",
    [{}, {"course": ""}, {"course": "x"}, {"course": "9" * 30}, {"course": "-1"}, {"course": "1", "on_full": "x"}],
)
def test_an_incomplete_panel_asks_for_the_missing_fields(registrar_client, ada, wish):
    assert preview_of(registrar_client, ada, **wish)["kind"] == "incomplete"
    assert registrar_client.post(f"/admin/students/student/{ada.pk}/enroll/", wish).status_code == 200
    assert StudentCourse.objects.count() == 0


def test_the_panel_enrolls_its_own_student_and_ignores_other_ids(registrar_client, ada):
    course, other = make_course(), make_student()

    registrar_client.post(f"/admin/students/student/{ada.pk}/enroll/", {"course": course.pk, "student": other.pk})

    assert StudentCourse.objects.get().student == ada


def test_the_course_page_has_the_panel_too(registrar_client, ada, full_course):
    address = f"/admin/courses/course/{full_course.pk}/enroll/"

    answer = registrar_client.post(address, {"student": ada.pk, "ask": "1"})
    done = registrar_client.post(address, {"student": ada.pk, "on_full": "waitlist"})

    assert answer.context["enroll_result"]["sentence"] == "Would be waitlisted at 2: no seat is free."
    assert (done.status_code, done["Location"]) == (302, f"/admin/courses/course/{full_course.pk}/change/")
    assert StudentCourse.objects.get(student=ada).status == "waitlisted"


def test_a_fragment_contains_only_the_preview_result(registrar_client, ada):
    wish = {"course": make_course().pk, "ask": "1", "fragment": "1"}

    answer = registrar_client.post(f"/admin/students/student/{ada.pk}/enroll/", wish).content.decode().strip()

    data = 'data-kind="enrolled" data-button="Enroll" data-on-full="reject"'
    assert re.sub(r">\s+<", "><", answer) == (
        f'<div class="desk-message success" {data}><p>Would be enrolled: the course has no limit.</p></div>'
    )


def test_the_panel_requires_the_permission_to_enroll(viewer, client, ada):
    client.force_login(viewer)

    assert "enroll_form" not in client.get(page_of(ada)).context
    assert client.post(f"/admin/students/student/{ada.pk}/enroll/", {"ask": "1"}).status_code == 403


def test_a_get_of_the_panel_redirects_to_the_page_and_an_unknown_id_is_404(registrar_client, ada):
    assert registrar_client.get(f"/admin/students/student/{ada.pk}/enroll/")["Location"] == page_of(ada)
    assert registrar_client.post(f"/admin/students/student/{ada.pk + 1}/enroll/").status_code == 404


def test_a_student_deactivated_while_the_panel_is_sent_is_refused(registrar_client, ada, monkeypatch):
    def ask_then_change(acts, actor, **how):
        outcomes = dry_run(acts, actor, **how)
        Student.objects.update(is_active=False)
        return outcomes

    monkeypatch.setattr("students.admin.enrollments.dry_run", ask_then_change)

    done = registrar_client.post(f"/admin/students/student/{ada.pk}/enroll/", {"course": make_course().pk}, follow=True)

    assert messages_of(done) == ["This student is not active."]
    assert StudentCourse.objects.count() == 0


def test_an_erased_student_has_no_panel(registrar_client, ada):
    Student.objects.filter(pk=ada.pk).update(
        student_number=f"erased-{ada.pk}",
        given_name="",
        family_name="",
        email="",
        is_active=False,
        erased_at=timezone.now(),
    )

    assert "enroll_form" not in registrar_client.get(page_of(ada)).context


def test_the_timeline_is_in_the_order_of_time_on_each_page(registrar_client, actor, monkeypatch):
    monkeypatch.setattr("students.admin.tabs.EVENTS_PER_PAGE", 2)
    student = make_student()
    for days in (3, 1, 2, 1):  # entries of a file about the past are written later than those about the present
        actor = replace(actor, at=timezone.now() - timedelta(days=days))
        enroll(student_id=student.pk, course_id=make_course(code=f"D-{days}-{Student.objects.count()}").pk, actor=actor)
        make_student()

    first = registrar_client.get(page_of(student, "?tab=timeline"))
    second = registrar_client.get(page_of(student, f"?tab=timeline&before={first.context['older']}"))

    times = [event.at for page in (first, second) for event in page.context["events"]]
    assert (len(times), times) == (4, sorted(times, reverse=True))
