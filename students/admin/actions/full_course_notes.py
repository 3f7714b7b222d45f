"""The notes of a preview: why an undo is refused, which courses will be over capacity, and what a grade changes."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from students.admin.actions.action_effects import fit_names
from students.enrollment.decision_context import SYSTEM_ACTIONS
from students.enrollment.preview import Preview
from students.enrollment.transitions import COURSE_FULL
from students.models import Action, Channel, EnrollmentEvent, Status, Student, StudentCourse

MAX_NOTES = 20
MAX_NAMES = 5


def full_course_notes(
    preview: Preview, rows: Iterable[StudentCourse], visible: QuerySet[Any], waiver: Any
) -> list[str]:
    """
    Return a note for each full course of a preview. ``rows`` are the enrollments of the commands.

    A refusal names the visible students who got the seats that the undone actions had freed. ``waiver`` is the title of
    the rule that the user can waive, or None.
    """
    by_key = {row.key: row for row in rows}
    courses = {row.course_id: row.course for row in by_key.values()}
    is_refused = {
        step.outcome.command.key
        for step in preview.planned_actions
        if any(refusal.code == COURSE_FULL for refusal in step.outcome.refusals)
    }
    refused = [by_key[key] for key in by_key if key in is_refused]
    waived = {step.outcome.command.course_id for step in preview.planned_actions if _waives_seat(step.event)}
    counts = Counter(row.course_id for row in refused)
    names = _promoted_students([row.pk for row in refused], visible) if refused else {}
    notes = []
    for pk in [pk for pk in courses if counts[pk] or pk in waived][:MAX_NOTES]:
        seats = preview.seats[pk]
        numbers = {"course": courses[pk].code, "taken": seats.taken + counts[pk], "capacity": seats.capacity}
        if counts[pk]:
            notes.append(" ".join(_refused_sentences(numbers, names.get(pk, []), waiver)))
        elif seats.over:
            notes.append(_("%(course)s will be over capacity (%(taken)s of %(capacity)s).") % numbers)
    return notes


def lost_prerequisite_notes(preview: Preview) -> list[str]:
    """Return a note on the open enrollments whose prerequisites the new grades no longer meet, if there are any."""
    if not (count := len(preview.losing_prerequisites)):
        return []
    message = ngettext(
        "%(n)s open enrollment no longer meets its prerequisites by a changed grade. It is not changed.",
        "%(n)s open enrollments no longer meet their prerequisites by a changed grade. They are not changed.",
        count,
    )
    return [message % {"n": count}]


def lost_corequisite_notes(preview: Preview, visible: QuerySet[Any]) -> list[str]:
    """Return a note with the enrollments in courses that require a course which the student leaves, if any."""
    if not (ids := preview.losing_corequisites):
        return []
    rows = visible.filter(pk__in=ids).select_related("student", "course__term").order_by("pk")[: MAX_NAMES + 1]
    names = [str(row) for row in rows]
    listed = ", ".join(names[:MAX_NAMES]) + ("…" if len(names) > MAX_NAMES else "")
    message = ngettext(
        "%(n)s other enrollment requires a course that the student leaves, and is not changed: %(names)s",
        "%(n)s other enrollments require courses that the students leave, and are not changed: %(names)s",
        len(ids),
    )
    return [message % {"n": len(ids), "names": listed}]


def _waives_seat(event: EnrollmentEvent | None) -> bool:
    return event is not None and COURSE_FULL in event.waived


def _refused_sentences(numbers: dict[str, Any], names: list[Student], waiver: Any) -> list[str]:
    sentences = [_("%(course)s is full.") % numbers]
    if names:
        listed = ", ".join(str(student) for student in names[:MAX_NAMES]) + ("…" if len(names) > MAX_NAMES else "")
        sentences.append(_("The freed seats went to waitlisted students: %(names)s.") % {"names": listed})
    if waiver:
        message = _("To enroll over capacity (%(taken)s of %(capacity)s), waive “%(rule)s” and enter a reason.")
        sentences.append(message % {**numbers, "rule": waiver})
    else:
        sentences.append(_("Only a user with the permission to waive rules can enroll over capacity."))
    return sentences


def _promoted_students(ids: Collection[int], visible: QuerySet[Any]) -> dict[int, list[Student]]:
    """Return, by course, the visible students who got a seat by the last requests that changed these enrollments."""
    own = EnrollmentEvent.objects.filter(enrollment__in=ids).exclude(action__in=SYSTEM_ACTIONS).order_by("pk")
    request_ids = dict(own.values_list("enrollment_id", "request_id"))
    promotions = EnrollmentEvent.objects.filter(
        request_id__in={each for each in request_ids.values() if each},
        channel__in=[Channel.ADMIN, Channel.SYSTEM],  # the index is only of these
        action=Action.PROMOTE,
        enrollment__in=visible.filter(status=Status.ENROLLED).order_by().values("pk"),
    ).select_related("enrollment__student")
    students: dict[int, list[Student]] = defaultdict(list)
    rows = list(dict.fromkeys(event.enrollment for event in promotions.order_by("pk")))
    fitting = len(fit_names([row.student for row in rows]))
    for row in rows[:fitting]:
        students[row.course_id].append(row.student)
    return students
