"""Bulk actions on enrollments in the admin: the result matches the confirmed preview, or nothing is changed."""

import re

import pytest
from django.contrib.auth.models import Permission, User

from students.enrollment import complete, drop, enroll, preview_commands
from students.enrollment.commands import OnFull
from students.models import EnrollmentEvent, StudentCourse
from tests.support.factories import make_course, make_student, make_term

pytestmark = pytest.mark.django_db

LIST = "/admin/students/studentcourse/"
ACT = f"{LIST}act/"


@pytest.fixture
def make_enrollment(actor):
    """Enroll a student in a course, or add the student to the waitlist."""

    def give(course, student=None):
        student = student or make_student()
        outcome = enroll(student_id=student.pk, course_id=course.pk, on_full=OnFull.WAITLIST, actor=actor)
        return outcome.enrollment

    return give


def preview(desk, action, *enrollments, **form):
    return desk.post(ACT, {"action": action, "chosen": [each.pk for each in enrollments], **form})


def confirm(desk, page, action, *enrollments, **form):
    return preview(desk, action, *enrollments, step="confirm", shown=page.context["fingerprint"], **form)


def confirmed_result(desk, action, *enrollments, **form):
    """Preview and confirm an action, and return the result page."""
    page = preview(desk, action, *enrollments, **form)
    answer = confirm(desk, page, action, *enrollments, **form)
    assert answer.status_code == 302, answer.context["preview"]
    return desk.get(answer["Location"])


def rows_by_card(page):
    """Return the rows of a page by the card that shows them."""
    cards = page.context["preview"]
    return {
        name: [(line.student.pk, line.before, line.after, line.detail, *line.reasons) for line in getattr(cards, name)]
        for name in ("changed", "promoted", "skipped", "refused", "unchanged")
        if getattr(cards, name)
    }


def messages(answer):
    return [(message.level_tag, str(message)) for message in answer.context["messages"]]


def statuses():
    return list(StudentCourse.objects.order_by("pk").values_list("status", flat=True))


def test_confirmed_action_matches_its_preview_including_promotions(registrar_client, registrar, make_enrollment):
    course = make_course(code="MATH-101", capacity=2, waitlist_capacity=9)
    leaving, ended, _next, last = (make_enrollment(course) for _ in range(4))
    confirmed_result(registrar_client, "complete", ended, grade="A")  # and the next student gets the seat
    assert statuses() == ["enrolled", "completed", "enrolled", "waitlisted"]

    page = preview(registrar_client, "drop", leaving, ended, reason="moved away")

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
    assert rows_by_card(page) == shown
    assert [(card.number, card.label) for card in page.context["preview"].summary_cards] == [
        (1, "dropped"),
        (1, "promoted"),
        (1, "refused"),
    ]
    assert statuses() == ["enrolled", "completed", "enrolled", "waitlisted"]

    answer = confirm(registrar_client, page, "drop", leaving, ended, reason="moved away")
    result = registrar_client.get(answer["Location"])

    assert statuses() == ["dropped", "completed", "enrolled", "enrolled"]
    assert rows_by_card(result) == shown
    dropped = EnrollmentEvent.objects.get(action="drop")
    assert (dropped.actor, dropped.channel, dropped.reason) == (registrar, "admin", "moved away")
    assert result.context["undoable_ids"] == [leaving.pk]


def test_waitlisted_students_are_dropped_before_a_seat_is_freed(registrar_client, make_enrollment):
    """In the other order they would be enrolled for a moment, and be marked withdrawn after the deadline."""
    term = make_term(drop_deadline="2026-01-02")
    course = make_course(capacity=1, waitlist_capacity=9, term=term)
    seated, waiting = make_enrollment(course), make_enrollment(course)

    confirmed_result(registrar_client, "drop", seated, waiting)

    assert statuses() == ["withdrawn", "dropped"]
    assert list(EnrollmentEvent.objects.filter(action="promote")) == []


def test_action_is_not_executed_when_its_result_would_differ_from_the_preview(registrar_client, make_enrollment, actor):
    course = make_course(capacity=1, waitlist_capacity=9)
    leaving = make_enrollment(course)
    page = preview(registrar_client, "drop", leaving)
    waiting = make_enrollment(course)  # a student joins the waitlist between preview and confirmation

    again = confirm(registrar_client, page, "drop", leaving)

    assert (again.status_code, again.context["is_stale"], statuses()) == (200, True, ["enrolled", "waitlisted"])
    assert rows_by_card(again)["promoted"] == [(waiting.student_id, "waitlisted", "enrolled", "")]
    assert "Nothing was changed" in again.content.decode()
    assert confirm(registrar_client, again, "drop", leaving).status_code == 302
    assert statuses() == ["dropped", "enrolled"]


def test_confirming_an_action_twice_changes_nothing_the_second_time(registrar_client, make_enrollment):
    enrollment = make_enrollment(make_course())
    page = preview(registrar_client, "drop", enrollment)
    confirm(registrar_client, page, "drop", enrollment)

    again = confirm(registrar_client, page, "drop", enrollment)

    assert (again.context["is_stale"], rows_by_card(again)) == (
        True,
        {"unchanged": [(enrollment.student_id, "dropped", "dropped", "", "Already in this state.")]},
    )
    assert EnrollmentEvent.objects.filter(action="drop").count() == 1


def test_a_grade_that_differs_from_the_preview_is_previewed_again(registrar_client, make_enrollment):
    enrollment = make_enrollment(make_course())
    page = preview(registrar_client, "complete", enrollment, grade="A")

    again = confirm(registrar_client, page, "complete", enrollment, grade="B")

    assert (again.context["is_stale"], statuses()) == (True, ["enrolled"])
    assert rows_by_card(again) == {"changed": [(enrollment.student_id, "enrolled", "completed", "grade B")]}


def test_grade_and_reason_are_stripped_of_surrounding_spaces(registrar_client, make_enrollment):
    enrollment = make_enrollment(make_course())

    confirmed_result(registrar_client, "complete", enrollment, grade="  A ", reason=" exam ")
    preview(registrar_client, "complete", enrollment, grade="   ")

    assert (StudentCourse.objects.get().grade, EnrollmentEvent.objects.latest("pk").reason) == ("A", "exam")


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("grade", "x" * 33, "Ensure this value has at most 32 characters (it has 33)."),
        ("reason", "x" * 1001, "Ensure this value has at most 1000 characters (it has 1001)."),
        ("reason", "a\tb", "Control characters are not allowed. Remove them."),
    ],
)
def test_invalid_grade_or_reason_is_a_field_error_and_keeps_the_selection(
    registrar_client, make_enrollment, name, text, error
):
    enrollment = make_enrollment(make_course())

    page = preview(registrar_client, "complete", enrollment, **{name: text}, step="confirm", shown="x")

    assert page.context["form"].errors == {name: [error]}
    assert f'name="chosen" value="{enrollment.pk}"' in page.content.decode()
    assert statuses() == ["enrolled"]


def test_preview_does_not_compare_enrollments_pairwise(registrar_client, make_enrollment, monkeypatch):
    """A thousand enrollments would need half a million comparisons."""
    course = make_course()
    rows = [make_enrollment(course).pk for _ in range(3)]
    monkeypatch.setattr(StudentCourse, "__eq__", lambda one, other: pytest.fail("compared"))

    page = registrar_client.post(ACT, {"action": "drop", "chosen": rows})

    assert [line.key for line in page.context["preview"].changed] == rows


def test_an_enrollment_replaced_by_a_newer_one_is_unchanged(registrar_client, make_enrollment, actor):
    student, course = make_student(), make_course()
    old = make_enrollment(course, student)
    drop(student_id=student.pk, course_id=course.pk, actor=actor)
    make_enrollment(course, student)

    page = preview(registrar_client, "drop", old)

    why = "The student has a newer enrollment in this course."
    assert rows_by_card(page) == {"unchanged": [(student.pk, "dropped", "dropped", "", why)]}
    assert "No changes." in page.content.decode()


def test_the_title_of_a_result_has_its_numbers_and_its_only_course(registrar_client, make_enrollment):
    course = make_course(code="MATH-101")
    first, second = make_enrollment(course), make_enrollment(course)

    of_one_course = confirmed_result(registrar_client, "drop", first, second)
    undone = confirmed_result(registrar_client, "undo", first, second)
    of_two_courses = confirmed_result(registrar_client, "drop", first, make_enrollment(make_course()))

    assert [page.context["title"] for page in (of_one_course, undone, of_two_courses)] == [
        "MATH-101: 2 dropped",
        "MATH-101: 2 undone",
        "2 dropped",
    ]


def test_undoing_an_action_shows_its_consequences_first(registrar_client, make_enrollment):
    course = make_course(code="MATH-101", capacity=1, waitlist_capacity=9)
    leaving, _waiting = make_enrollment(course), make_enrollment(course)
    other = make_enrollment(make_course())
    result = confirmed_result(registrar_client, "drop", leaving, other)
    assert result.context["undoable_ids"] == [leaving.pk, other.pk]

    page = preview(registrar_client, "undo", leaving, other)
    assert rows_by_card(page) == {
        "changed": [(other.student_id, "dropped", "enrolled", "")],
        "refused": [(leaving.student_id, "dropped", "dropped", "", "MATH-101 has no free seat.")],
    }
    undone = confirmed_result(registrar_client, "undo", leaving, other, waive="course_full", reason="by mistake")

    assert statuses() == ["enrolled", "enrolled", "enrolled"]
    assert undone.context["undoable_ids"] == []


def test_a_refused_undo_says_which_students_have_the_seats_and_how_to_enroll_over_capacity(
    registrar_client, make_enrollment
):
    course = make_course(code="PHIL-101", capacity=2, waitlist_capacity=9)
    dropped = [make_enrollment(course), make_enrollment(course)]
    for number, name in (("S-1", "Ada"), ("S-2", "Mary")):
        make_enrollment(course, make_student(student_number=number, given_name=name, family_name="Byron"))
    confirmed_result(registrar_client, "drop", *dropped)

    page = preview(registrar_client, "undo", *dropped)
    waived = preview(registrar_client, "undo", *dropped, waive="course_full", reason="by mistake")

    assert statuses() == ["dropped", "dropped", "enrolled", "enrolled"]
    assert page.context["notes"] == [
        "PHIL-101 is full. The freed seats went to waitlisted students: S-1 Ada Byron, S-2 Mary Byron. "
        "To enroll over capacity (4 of 2), waive “Course is full” and enter a reason."
    ]
    assert waived.context["notes"] == ["PHIL-101 will be over capacity (4 of 2)."]
    assert [line.student for line in waived.context["preview"].changed] == [row.student for row in reversed(dropped)]


def test_a_refused_undo_tells_a_user_who_cannot_waive_that_others_can(client, make_enrollment, actor):
    course = make_course(code="PHIL-101", capacity=1)
    dropped = make_enrollment(course)
    drop(student_id=dropped.student_id, course_id=course.pk, actor=actor)
    make_enrollment(course)
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=["view_studentcourse", "change_studentcourse"]))
    client.force_login(user)

    page = preview(client, "undo", dropped)

    assert page.context["notes"] == [
        "PHIL-101 is full. Only a user with the permission to waive rules can enroll over capacity."
    ]


def undone(result):
    return [(each.number, each.event.actor.username, each.event.reason) for each in result.context["undone"]]


def test_a_result_says_when_its_changes_were_undone_and_by_whom(registrar_client, registrar, make_enrollment):
    first, second = make_enrollment(make_course()), make_enrollment(make_course())
    result = confirmed_result(registrar_client, "drop", first, second)
    address = result.request["PATH_INFO"]
    assert undone(result) == []

    confirmed_result(registrar_client, "undo", first, reason="by mistake")

    again = registrar_client.get(address)
    assert undone(again) == [(1, "registrar", "by mistake")]
    assert [(line.enrollment_id, line.detail) for line in again.context["preview"].changed] == [
        (first.pk, "undone"),
        (second.pk, ""),
    ]
    assert again.context["undoable_ids"] == [second.pk]
    assert "1 of 2 undone on" in again.content.decode()

    confirmed_result(registrar_client, "undo", second)
    assert sorted(undone(registrar_client.get(address))) == [(1, "registrar", ""), (1, "registrar", "by mistake")]


def test_a_change_after_the_undo_does_not_hide_it(registrar_client, make_enrollment):
    enrollment = make_enrollment(make_course())
    address = confirmed_result(registrar_client, "complete", enrollment, grade="A").request["PATH_INFO"]
    confirmed_result(registrar_client, "undo", enrollment)
    confirmed_result(registrar_client, "drop", enrollment)

    assert undone(registrar_client.get(address)) == [(1, "registrar", "")]


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("/admin/courses/course/{course}/change/?tab=waitlist", "Back to MATH-101 Calculus I"),
        ("/admin/students/student/{student}/change/", "Back to S-7 Ada Byron"),
        ("/admin/courses/course/0/change/", "Back to the course"),
        (f"{LIST}?status=enrolled", "Back to the list"),
        (f"{LIST}1/change/", "Back to the enrollment"),
        ("/admin/", "Back"),
        ("/nowhere", "Back"),
    ],
)
def test_the_way_back_leads_to_the_page_where_the_action_began(registrar_client, make_enrollment, page, title):
    student = make_student(student_number="S-7", given_name="Ada", family_name="Byron")
    enrollment = make_enrollment(make_course(code="MATH-101", name="Calculus I"), student)
    address = page.format(course=enrollment.course_id, student=student.pk)

    result = confirmed_result(registrar_client, "drop", enrollment, next=address)

    assert (result.context["return_url"], result.context["return_title"]) == (address, title)
    undo = preview(registrar_client, "undo", enrollment, next=result.context["return_url"])
    assert (undo.context["return_url"], undo.context["return_title"]) == (address, title)


def test_a_drop_after_the_deadline_says_why_the_student_is_withdrawn(registrar_client, make_enrollment):
    late = make_enrollment(make_course(term=make_term(drop_deadline="2026-01-02")))
    early = make_enrollment(make_course(term=make_term(code="2090", drop_deadline="2090-09-15")))

    page = preview(registrar_client, "drop", late, early)

    assert rows_by_card(page)["changed"] == [
        (late.student_id, "enrolled", "withdrawn", "because the drop deadline was Jan. 2, 2026"),
        (early.student_id, "enrolled", "dropped", ""),
    ]
    assert 'class="desk-button danger">Drop 2 enrollments' in page.content.decode()


def test_a_get_request_previews_an_action_and_executes_nothing(registrar_client, make_enrollment):
    enrollment = make_enrollment(make_course())
    query = {"action": "drop", "chosen": enrollment.pk}

    page = registrar_client.get(ACT, query)
    again = registrar_client.get(ACT, {**query, "step": "confirm", "shown": page.context["fingerprint"]})

    assert rows_by_card(page) == {"changed": [(enrollment.student_id, "enrolled", "dropped", "")]}
    assert (again.status_code, statuses()) == (200, ["enrolled"])


@pytest.mark.parametrize(
    ("status", "offered"),
    [("enrolled", ["complete", "undo", "drop"]), ("waitlisted", ["promote", "undo", "drop"]), ("ended", ["undo"])],
)
def test_the_page_of_an_enrollment_offers_only_possible_actions(registrar_client, make_enrollment, status, offered):
    course = make_course(capacity=1, waitlist_capacity=9)
    enrollment = make_enrollment(course)
    if status == "waitlisted":
        enrollment = make_enrollment(course)
    elif status == "ended":
        confirmed_result(registrar_client, "drop", enrollment)

    page = registrar_client.get(f"{LIST}{enrollment.pk}/change/").content.decode()

    assert re.findall(r'name="action" value="(\w+)"', page) == offered


def test_undo_skips_enrollments_that_changed_after_the_action(registrar_client, make_enrollment, actor):
    first, second = make_enrollment(make_course()), make_enrollment(make_course())
    result = confirmed_result(registrar_client, "complete", first, second)
    complete(student_id=first.student_id, course_id=first.course_id, grade="C", actor=actor)

    again = registrar_client.get(result.request.get("PATH_INFO"))

    assert again.context["undoable_ids"] == [second.pk]


def test_a_waitlisted_student_is_enrolled_early_only_by_a_waiver_with_a_reason(
    registrar_client, registrar, make_enrollment
):
    course = make_course(capacity=1, waitlist_capacity=9)
    seated, _first, second = (make_enrollment(course) for _ in range(3))

    page = preview(registrar_client, "promote", seated, second)
    assert rows_by_card(page) == {
        "refused": [(second.student_id, "waitlisted", "waitlisted", "", "A waiver requires a reason.")],
        "unchanged": [(seated.student_id, "enrolled", "enrolled", "", "Not waitlisted.")],
    }
    confirm(registrar_client, page, "promote", seated, second)
    assert statuses() == ["enrolled", "waitlisted", "waitlisted"]

    confirmed_result(registrar_client, "promote", second, reason="graduates in June")

    assert statuses() == ["enrolled", "waitlisted", "enrolled"]
    event = EnrollmentEvent.objects.latest("pk")
    assert (event.action, event.waived, event.reason, event.actor) == (
        "enroll",
        ["course_full"],
        "graduates in June",
        registrar,
    )


def test_a_student_who_left_the_waitlist_is_not_enrolled_by_a_waiver(registrar_client, make_enrollment, actor):
    course = make_course(capacity=1, waitlist_capacity=9)
    make_enrollment(course)
    waiting = make_enrollment(course)
    page = preview(registrar_client, "promote", waiting, reason="x")
    drop(student_id=waiting.student_id, course_id=course.pk, actor=actor)

    again = confirm(registrar_client, page, "promote", waiting, reason="x")

    assert (again.context["is_stale"], statuses()) == (True, ["enrolled", "dropped"])
    assert rows_by_card(again)["unchanged"] == [(waiting.student_id, "dropped", "dropped", "", "Not waitlisted.")]


def test_a_student_who_leaves_the_waitlist_after_it_was_read_is_not_enrolled(
    registrar_client, make_enrollment, actor, monkeypatch
):
    course = make_course(capacity=0, waitlist_capacity=9)
    waiting = make_enrollment(course)

    def leave_then_ask(acts, actor):
        drop(student_id=waiting.student_id, course_id=course.pk, actor=actor)
        return preview_commands(acts, actor)

    monkeypatch.setattr("students.admin.actions.bulk_actions.preview_commands", leave_then_ask)

    page = preview(registrar_client, "promote", waiting, reason="x")

    why = "The object has changed since you read it. Read it again."
    assert rows_by_card(page) == {"refused": [(waiting.student_id, "dropped", "dropped", "", why)]}


@pytest.mark.parametrize("action", ["drop", "complete", "undo", "promote"])
def test_a_viewer_cannot_open_the_action_pages(viewer, client, make_enrollment, action):
    enrollment = make_enrollment(make_course(capacity=0, waitlist_capacity=9))
    client.force_login(viewer)

    assert preview(client, action, enrollment, reason="x", step="confirm", shown="x").status_code == 403
    client.post(LIST, {"action": action, "_selected_action": [enrollment.pk], "reason": "x"}, follow=True)

    assert statuses() == ["waitlisted"]


def test_a_user_without_the_waiver_permission_cannot_enroll_a_waitlisted_student(client, make_enrollment):
    user = User.objects.create_user("clerk", is_staff=True)
    names = ["add_studentcourse", "change_studentcourse", "view_studentcourse"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    enrollment = make_enrollment(make_course(capacity=0, waitlist_capacity=9))

    assert preview(client, "promote", enrollment, reason="x").status_code == 403
    assert "waive" not in preview(client, "undo", enrollment).context["form"].fields


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"action": "drop"}, ("warning", "Select enrollments first.")),
        ({"action": "drop", "chosen": ["x", "-1", "9" * 30]}, ("warning", "Select enrollments first.")),
        ({"action": "erase", "chosen": ["1"]}, ("info", "Select enrollments and an action.")),
        (
            {"action": "drop", "chosen": range(1, 1002)},
            ("error", "At most 1000 rows can be changed at a time. Select fewer."),
        ),
    ],
)
def test_an_invalid_action_redirects_to_the_previous_page_with_a_message(registrar_client, form, message):
    answer = registrar_client.post(ACT, {**form, "next": "/admin/courses/course/"}, follow=True)

    assert (answer.redirect_chain, messages(answer)) == ([("/admin/courses/course/", 302)], [message])


@pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil", ""])
def test_redirects_never_lead_to_another_host(registrar_client, address):
    answer = registrar_client.post(ACT, {"action": "drop", "next": address})

    assert answer["Location"] == LIST


def test_enrollments_that_were_not_found_are_counted(registrar_client, make_enrollment):
    enrollment = make_enrollment(make_course())

    page = registrar_client.post(ACT, {"action": "drop", "chosen": [enrollment.pk, 10**9, 10**9 + 1]})

    assert "2 of the selected enrollments were not found." in page.content.decode()


def test_the_action_of_the_enrollment_list_opens_the_confirmation_page(registrar_client, make_enrollment):
    enrollment = make_enrollment(make_course())
    form = {"action": "complete", "_selected_action": [enrollment.pk], "grade": "A", "reason": ""}

    page = registrar_client.post(f"{LIST}?status__exact=enrolled", form)

    assert rows_by_card(page) == {"changed": [(enrollment.student_id, "enrolled", "completed", "grade A")]}
    assert page.context["return_url"] == f"{LIST}?status__exact=enrolled"


def test_a_result_is_shown_only_to_admin_users_who_can_view_enrollments(
    registrar_client, viewer, client, make_enrollment
):
    enrollment = make_enrollment(make_course())
    path = confirmed_result(registrar_client, "drop", enrollment).request["PATH_INFO"]

    client.force_login(viewer)
    page = client.get(path)
    client.force_login(User.objects.create_user("clerk", is_staff=True))

    assert (rows_by_card(page), page.context["undoable_ids"]) == (
        {"changed": [(enrollment.student_id, "enrolled", "dropped", "")]},
        [],
    )
    assert [client.get(path).status_code, client.get(f"{LIST}acts/unknown/").status_code] == [403, 403]


@pytest.mark.parametrize("action", ["drop", "complete", "undo", "promote"])
@pytest.mark.parametrize("size", [2, 40])
def test_the_query_count_does_not_depend_on_the_number_of_selected_enrollments(
    registrar_client, make_enrollment, action, size, django_assert_max_num_queries
):
    ahead = [make_enrollment(make_course(capacity=1, waitlist_capacity=99)) for _ in range(size // 2)]
    behind = [make_enrollment(enrollment.course) for enrollment in ahead]
    chosen = behind if action == "promote" else ahead + behind

    with django_assert_max_num_queries(24):
        page = preview(registrar_client, action, *chosen, reason="x")
    with django_assert_max_num_queries(25):
        answer = confirm(registrar_client, page, action, *chosen, reason="x")
    with django_assert_max_num_queries(24):
        result = registrar_client.get(answer["Location"])

    assert len(result.context["preview"].changed) >= size // 2
