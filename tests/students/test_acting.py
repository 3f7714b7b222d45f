"""Acting on many enrollments in the admin: what is shown is what happens, or nothing does."""

import pytest
from django.contrib.auth.models import Permission, User

from students.enrollment import complete, drop, enroll, foresee
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, StudentCourse
from tests.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

LIST = "/admin/students/studentcourse/"
ACT = f"{LIST}act/"


@pytest.fixture
def place(origin):
    """Give a student a place in a course, a seat or one in line."""

    def give(course, student=None):
        student = student or make_student()
        outcome = enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, origin=origin)
        return outcome.enrollment

    return give


def look(desk, action, *enrollments, **form):
    return desk.post(ACT, {"action": action, "chosen": [each.pk for each in enrollments], **form})


def confirm(desk, page, action, *enrollments, **form):
    return look(desk, action, *enrollments, step="confirm", shown=page.context["fingerprint"], **form)


def done(desk, action, *enrollments, **form):
    """Look, confirm, and return the page about what came of it."""
    page = look(desk, action, *enrollments, **form)
    answer = confirm(desk, page, action, *enrollments, **form)
    assert answer.status_code == 302, answer.context["told"]
    return desk.get(answer["Location"])


def told(page):
    """Return the lines of a page, by the card that they stand in."""
    cards = page.context["told"]
    return {
        name: [(line.student.pk, line.before, line.after, line.detail, *line.why) for line in getattr(cards, name)]
        for name in ("changed", "promoted", "passed", "refused", "same")
        if getattr(cards, name)
    }


def messages(answer):
    return [(message.level_tag, str(message)) for message in answer.context["messages"]]


def statuses():
    return list(StudentCourse.objects.order_by("pk").values_list("status", flat=True))


def test_what_is_shown_is_what_happens_with_who_gets_a_seat_thereby(registrars_desk, registrar, place):
    course = make_course(code="MATH-101", capacity=2, waitlist_capacity=9)
    leaving, ended, _next, last = (place(course) for _ in range(4))
    done(registrars_desk, "complete", ended, grade="A")  # and the next gets the seat
    assert statuses() == ["enrolled", "completed", "enrolled", "waitlisted"]

    page = look(registrars_desk, "drop", leaving, ended, reason="moved away")

    shown = {
        "changed": [(leaving.student_id, "enrolled", "dropped", "")],
        "promoted": [(last.student_id, "waitlisted", "enrolled", "")],
        "refused": [
            (
                ended.student_id,
                "completed",
                "completed",
                "",
                "The enrollment is completed and cannot become dropped, because it has ended.",
            )
        ],
    }
    assert told(page) == shown
    assert [(tile.number, tile.label) for tile in page.context["told"].tiles] == [
        (1, "dropped"),
        (1, "promoted"),
        (1, "refused"),
    ]
    assert statuses() == ["enrolled", "completed", "enrolled", "waitlisted"]

    answer = confirm(registrars_desk, page, "drop", leaving, ended, reason="moved away")
    result = registrars_desk.get(answer["Location"])

    assert statuses() == ["dropped", "completed", "enrolled", "enrolled"]
    assert told(result) == shown
    dropped = EnrollmentEvent.objects.get(action="drop")
    assert (dropped.actor, dropped.channel, dropped.reason) == (registrar, "admin", "moved away")
    assert result.context["to_undo"] == [leaving.pk]


def test_who_waits_leaves_before_a_seat_comes_free_for_them(registrars_desk, place):
    """The other way round they would have been enrolled for a moment, and after the deadline withdrawn."""
    term = make_term(drop_deadline="2026-01-02")
    course = make_course(capacity=1, waitlist_capacity=9, term=term)
    seated, waiting = place(course), place(course)

    done(registrars_desk, "drop", seated, waiting)

    assert statuses() == ["withdrawn", "dropped"]
    assert list(EnrollmentEvent.objects.filter(action="promote")) == []


def test_nothing_is_done_where_something_else_would_come_of_it(registrars_desk, place, origin):
    course = make_course(capacity=1, waitlist_capacity=9)
    leaving = place(course)
    page = look(registrars_desk, "drop", leaving)
    waiting = place(course)  # somebody joins the line between the look and the click

    again = confirm(registrars_desk, page, "drop", leaving)

    assert (again.status_code, again.context["differs"], statuses()) == (200, True, ["enrolled", "waitlisted"])
    assert told(again)["promoted"] == [(waiting.student_id, "waitlisted", "enrolled", "")]
    assert "Nothing was changed" in again.content.decode()
    assert confirm(registrars_desk, again, "drop", leaving).status_code == 302
    assert statuses() == ["dropped", "enrolled"]


def test_confirming_twice_changes_nothing_the_second_time(registrars_desk, place):
    enrollment = place(make_course())
    page = look(registrars_desk, "drop", enrollment)
    confirm(registrars_desk, page, "drop", enrollment)

    again = confirm(registrars_desk, page, "drop", enrollment)

    assert (again.context["differs"], told(again)) == (
        True,
        {"same": [(enrollment.student_id, "dropped", "dropped", "", "Already in this state.")]},
    )
    assert EnrollmentEvent.objects.filter(action="drop").count() == 1


def test_another_grade_than_was_shown_is_shown_first(registrars_desk, place):
    enrollment = place(make_course())
    page = look(registrars_desk, "complete", enrollment, grade="A")

    again = confirm(registrars_desk, page, "complete", enrollment, grade="B")

    assert (again.context["differs"], statuses()) == (True, ["enrolled"])
    assert told(again) == {"changed": [(enrollment.student_id, "enrolled", "completed", "grade B")]}


def test_grade_and_reason_are_taken_without_the_blanks_around_them(registrars_desk, place):
    enrollment = place(make_course())

    done(registrars_desk, "complete", enrollment, grade="  A ", reason=" exam ")
    look(registrars_desk, "complete", enrollment, grade="   ")

    assert (StudentCourse.objects.get().grade, EnrollmentEvent.objects.latest("pk").reason) == ("A", "exam")


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("grade", "x" * 33, "Ensure this value has at most 32 characters (it has 33)."),
        ("reason", "x" * 1001, "Ensure this value has at most 1000 characters (it has 1001)."),
        ("reason", "a\tb", "Control characters are not allowed. Remove them."),
    ],
)
def test_what_cannot_be_kept_is_told_beside_its_field_and_nothing_is_lost(registrars_desk, place, name, text, error):
    enrollment = place(make_course())

    page = look(registrars_desk, "complete", enrollment, **{name: text}, step="confirm", shown="x")

    assert page.context["form"].errors == {name: [error]}
    assert f'name="chosen" value="{enrollment.pk}"' in page.content.decode()
    assert statuses() == ["enrolled"]


def test_no_enrollment_is_compared_with_every_other(registrars_desk, place, monkeypatch):
    """A thousand of them would be compared half a million times."""
    course = make_course()
    rows = [place(course).pk for _ in range(3)]
    monkeypatch.setattr(StudentCourse, "__eq__", lambda one, other: pytest.fail("compared"))

    page = registrars_desk.post(ACT, {"action": "drop", "chosen": rows})

    assert [line.key for line in page.context["told"].changed] == rows


def test_a_row_that_is_history_is_left_alone(registrars_desk, place, origin):
    student, course = make_student(), make_course()
    old = place(course, student)
    drop(student_id=student.pk, course_id=course.pk, origin=origin)
    place(course, student)

    page = look(registrars_desk, "drop", old)

    why = "The student has a newer enrollment in this course."
    assert told(page) == {"same": [(student.pk, "dropped", "dropped", "", why)]}
    assert "No changes." in page.content.decode()


def test_an_act_is_undone_with_its_consequences_shown_first(registrars_desk, place):
    course = make_course(code="MATH-101", capacity=1, waitlist_capacity=9)
    leaving, _waiting = place(course), place(course)
    other = place(make_course())
    result = done(registrars_desk, "drop", leaving, other)
    assert result.context["to_undo"] == [leaving.pk, other.pk]

    page = look(registrars_desk, "undo", leaving, other)
    assert told(page) == {
        "changed": [(other.student_id, "dropped", "enrolled", "")],
        "refused": [(leaving.student_id, "dropped", "dropped", "", "MATH-101 has no free seat.")],
    }
    undone = done(registrars_desk, "undo", leaving, other, waive="course_full", reason="by mistake")

    assert statuses() == ["enrolled", "enrolled", "enrolled"]
    assert undone.context["to_undo"] == []


def test_what_somebody_did_since_is_not_undone_along(registrars_desk, place, origin):
    first, second = place(make_course()), place(make_course())
    result = done(registrars_desk, "complete", first, second)
    complete(student_id=first.student_id, course_id=first.course_id, grade="C", origin=origin)

    again = registrars_desk.get(result.request.get("PATH_INFO"))

    assert again.context["to_undo"] == [second.pk]


def test_who_waits_is_moved_up_by_a_waiver_with_a_reason_and_no_other_way(registrars_desk, registrar, place):
    course = make_course(capacity=1, waitlist_capacity=9)
    seated, _first, second = (place(course) for _ in range(3))

    page = look(registrars_desk, "promote", seated, second)
    assert told(page) == {
        "refused": [(second.student_id, "waitlisted", "waitlisted", "", "A waiver requires a reason.")],
        "same": [(seated.student_id, "enrolled", "enrolled", "", "Not waitlisted.")],
    }
    confirm(registrars_desk, page, "promote", seated, second)
    assert statuses() == ["enrolled", "waitlisted", "waitlisted"]

    done(registrars_desk, "promote", second, reason="graduates in June")

    assert statuses() == ["enrolled", "waitlisted", "enrolled"]
    event = EnrollmentEvent.objects.latest("pk")
    assert (event.action, event.waived, event.reason, event.actor) == (
        "enroll",
        ["course_full"],
        "graduates in June",
        registrar,
    )


def test_who_has_left_the_line_meanwhile_is_not_enrolled_anew(registrars_desk, place, origin):
    course = make_course(capacity=1, waitlist_capacity=9)
    place(course)
    waiting = place(course)
    page = look(registrars_desk, "promote", waiting, reason="x")
    drop(student_id=waiting.student_id, course_id=course.pk, origin=origin)

    again = confirm(registrars_desk, page, "promote", waiting, reason="x")

    assert (again.context["differs"], statuses()) == (True, ["enrolled", "dropped"])
    assert told(again)["same"] == [(waiting.student_id, "dropped", "dropped", "", "Not waitlisted.")]


def test_nobody_is_moved_up_who_has_left_the_line_since_it_was_read(registrars_desk, place, origin, monkeypatch):
    course = make_course(capacity=0, waitlist_capacity=9)
    waiting = place(course)

    def leave_then_ask(acts, origin):
        drop(student_id=waiting.student_id, course_id=course.pk, origin=origin)
        return foresee(acts, origin)

    monkeypatch.setattr("students.admin.actions.confirm.foresee", leave_then_ask)

    page = look(registrars_desk, "promote", waiting, reason="x")

    why = "The object has changed since you read it. Read it again."
    assert told(page) == {"refused": [(waiting.student_id, "dropped", "dropped", "", why)]}


@pytest.mark.parametrize("action", ["drop", "complete", "undo", "promote"])
def test_a_viewer_gets_to_none_of_it(viewer, client, place, action):
    enrollment = place(make_course(capacity=0, waitlist_capacity=9))
    client.force_login(viewer)

    assert look(client, action, enrollment, reason="x", step="confirm", shown="x").status_code == 403
    client.post(LIST, {"action": action, "_selected_action": [enrollment.pk], "reason": "x"}, follow=True)

    assert statuses() == ["waitlisted"]


def test_who_may_not_waive_rules_moves_nobody_up(client, place):
    user = User.objects.create_user("clerk", is_staff=True)
    names = ["add_studentcourse", "change_studentcourse", "view_studentcourse"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    enrollment = place(make_course(capacity=0, waitlist_capacity=9))

    assert look(client, "promote", enrollment, reason="x").status_code == 403
    assert "waive" not in look(client, "undo", enrollment).context["form"].fields


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"action": "drop"}, ("warning", "Select enrollments first.")),
        ({"action": "drop", "chosen": ["x", "-1", "9" * 30]}, ("warning", "Select enrollments first.")),
        ({"action": "erase", "chosen": ["1"]}, ("info", "Select enrollments and an action.")),
        (
            {"action": "drop", "chosen": range(1, 1002)},
            ("error", "At most 1000 objects can be deleted at a time. Select fewer."),
        ),
    ],
)
def test_what_makes_no_sense_is_told_where_one_came_from(registrars_desk, form, message):
    answer = registrars_desk.post(ACT, {**form, "next": "/admin/courses/course/"}, follow=True)

    assert (answer.redirect_chain, messages(answer)) == ([("/admin/courses/course/", 302)], [message])


@pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil", ""])
def test_nobody_is_led_to_another_host(registrars_desk, address):
    answer = registrars_desk.post(ACT, {"action": "drop", "next": address})

    assert answer["Location"] == LIST


def test_what_is_not_there_is_counted(registrars_desk, place):
    enrollment = place(make_course())

    page = registrars_desk.post(ACT, {"action": "drop", "chosen": [enrollment.pk, 10**9, 10**9 + 1]})

    assert "2 of the selected enrollments were not found." in page.content.decode()


def test_the_list_leads_to_the_same_page(registrars_desk, place):
    enrollment = place(make_course())
    form = {"action": "complete", "_selected_action": [enrollment.pk], "grade": "A", "reason": ""}

    page = registrars_desk.post(f"{LIST}?status__exact=enrolled", form)

    assert told(page) == {"changed": [(enrollment.student_id, "enrolled", "completed", "grade A")]}
    assert page.context["back"] == f"{LIST}?status__exact=enrolled"


def test_a_result_is_there_for_who_may_see_it_and_only_of_the_admin(registrars_desk, viewer, client, place):
    enrollment = place(make_course())
    path = done(registrars_desk, "drop", enrollment).request["PATH_INFO"]

    client.force_login(viewer)
    page = client.get(path)
    client.force_login(User.objects.create_user("clerk", is_staff=True))

    assert (told(page), page.context["to_undo"]) == (
        {"changed": [(enrollment.student_id, "enrolled", "dropped", "")]},
        [],
    )
    assert [client.get(path).status_code, client.get(f"{LIST}acts/unknown/").status_code] == [403, 403]


@pytest.mark.parametrize("action", ["drop", "complete", "undo", "promote"])
@pytest.mark.parametrize("size", [2, 40])
def test_the_pages_cost_the_same_however_many_are_chosen(
    registrars_desk, place, action, size, django_assert_max_num_queries
):
    ahead = [place(make_course(capacity=1, waitlist_capacity=99)) for _ in range(size // 2)]
    behind = [place(enrollment.course) for enrollment in ahead]
    chosen = behind if action == "promote" else ahead + behind

    with django_assert_max_num_queries(24):
        page = look(registrars_desk, action, *chosen, reason="x")
    with django_assert_max_num_queries(25):
        answer = confirm(registrars_desk, page, action, *chosen, reason="x")
    with django_assert_max_num_queries(24):
        result = registrars_desk.get(answer["Location"])

    assert len(result.context["told"].changed) >= size // 2
