"""
Places and releases holds.

Only this module writes ``Hold`` and ``Student.has_holds``. A student is locked FOR UPDATE before a hold is placed, as
before a deactivation: actions that have read the student without the hold are finished first, later ones read the hold.
A release may make waitlisted students eligible, so it first locks the courses in which they wait, and then gives them
free seats.
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from school.db.retry import retry_transaction
from school.i18n.stored_messages import translatable as _
from school.refusals import Refusal
from students.enrollment import lock_waitlisted_courses, promote
from students.enrollment.actor_context import ActorContext
from students.lookup import student_not_found
from students.models import Hold, Student, StudentCourse

HoldKey = tuple[int, str, int | None]


class RequestedHold(NamedTuple):
    """A hold to place. Student, code and term are its key: a student has one open hold with a key."""

    student_id: int
    code: str
    term_id: int | None = None
    reason: str = ""
    starts_on: date | None = None
    ends_on: date | None = None

    @property
    def key(self) -> HoldKey:
        return self.student_id, self.code, self.term_id

    def equals(self, hold: Hold) -> bool:
        """Return True if an open hold with this key has the same values."""
        return (hold.reason, hold.starts_on, hold.ends_on) == (self.reason, self.starts_on, self.ends_on)


class Placement(NamedTuple):
    """
    The outcome of a requested hold: the open hold, or the refusals.

    ``created`` is True if the hold is new, ``replaced`` has the hold that it has replaced, if there was one.
    """

    hold: Hold | None = None
    created: bool = False
    replaced: Hold | None = None
    refusals: tuple[Refusal, ...] = ()


def dates_refusals(starts_on: date | None, ends_on: date | None) -> list[Refusal]:
    """Return the refusals of the days of a hold: it cannot end before it starts."""
    if starts_on is None or ends_on is None or starts_on <= ends_on:
        return []
    return [Refusal("dates_reversed", _("A hold cannot end before it starts."), field="until")]


def key_of(hold: Hold) -> HoldKey:
    return hold.student_id, hold.code, hold.term_id


@retry_transaction
@transaction.atomic
def place_holds(requested: Sequence[RequestedHold], *, actor: ActorContext, replacing: bool = False) -> list[Placement]:
    """
    Place holds, and return an outcome for each request, in their order.

    An equal open hold is left as it is. One with the same key and other values is a refusal, or with ``replacing`` it
    is released and replaced.
    """
    student_ids = {each.student_id for each in requested}
    locked_course_ids = lock_waitlisted_courses(student_ids) if replacing else []
    students = _lock_students(student_ids)
    open_holds = {key_of(hold): hold for hold in Hold.objects.open().filter(student__pk__any_of=list(students))}
    now, placements, new = timezone.now(), [], []
    replaced: list[Hold] = []
    for each in requested:
        hold = open_holds.get(each.key)
        if refusals := _refusals(each, students.get(each.student_id), hold, replacing=replacing):
            placements.append(Placement(refusals=tuple(refusals)))
        elif hold is not None and each.equals(hold):
            placements.append(Placement(hold))
        else:
            replaced += [hold] if hold else []
            placed = _new_hold(each, now, actor)
            open_holds[each.key] = placed
            new.append(placed)
            placements.append(Placement(placed, created=True, replaced=hold))
    _save_released(replaced, now, actor)
    Hold.objects.bulk_create(new, batch_size=500)
    _set_flags({hold.student_id for hold in new})
    if replaced:
        promote(locked_course_ids, actor=actor)
    return placements


@retry_transaction
@transaction.atomic
def release_holds(hold_ids: Collection[int], *, actor: ActorContext) -> list[StudentCourse]:
    """
    Release those of the holds that are open, and return the enrollments that got a seat as a result.

    The holds are kept as history. A repeated release changes nothing.
    """
    student_ids = set(Hold.objects.open().filter(pk__in=hold_ids).values_list("student", flat=True))
    locked_course_ids = lock_waitlisted_courses(student_ids)
    _lock_students(student_ids, no_key=True)
    holds = list(Hold.objects.open().filter(pk__in=hold_ids, student__in=student_ids))
    _save_released(holds, timezone.now(), actor)
    _clear_flags(student_ids)
    return promote(locked_course_ids, actor=actor) if holds else []


@retry_transaction
@transaction.atomic
def undo_hold_import(import_id: int, hold_ids: Collection[int], *, actor: ActorContext) -> set[int]:
    """
    Release those of the holds that an import has placed, and reopen those that it has released.

    Return the ids of the holds for which this was done. Holds that have changed since the import are kept.
    """
    student_ids = set(Hold.objects.filter(pk__in=hold_ids).values_list("student", flat=True))
    locked_course_ids = lock_waitlisted_courses(student_ids)
    _lock_students(student_ids)
    now, holds = timezone.now(), Hold.objects.filter(pk__in=hold_ids)
    placed = list(holds.open().filter(placed_import=import_id))
    _save_released(placed, now, actor)
    latest = {key_of(hold): hold for hold in Hold.objects.filter(student__pk__any_of=list(student_ids)).order_by("pk")}
    reopened = []
    for hold in holds.filter(released_import=import_id):
        newest = latest[key_of(hold)]
        is_replacement = newest.placed_import_id == import_id and newest.released_import_id == actor.import_id
        if newest == hold or (newest.released_at is not None and is_replacement):
            hold.released_at, hold.released_by_id, hold.released_import_id = None, None, None
            reopened.append(hold)
    Hold.objects.bulk_update(reopened, ["released_at", "released_by", "released_import"], batch_size=500)
    _set_flags({hold.student_id for hold in reopened})
    _clear_flags(student_ids)
    promote(locked_course_ids, actor=actor)
    return {hold.pk for hold in [*placed, *reopened]}


def erase_holds(student_id: int, *, actor_id: int | None) -> None:
    """
    Delete the reasons of a student's holds, and release those that are open.

    The caller has locked the student. The student has no open enrollment.
    """
    holds = Hold.objects.filter(student=student_id)
    holds.exclude(reason="").update(reason="")
    holds.open().update(released_at=timezone.now(), released_by=actor_id)
    _clear_flags([student_id])


def wrong_flags() -> QuerySet[Student]:
    """Return the students whose ``has_holds`` differs from their holds."""
    flag = Coalesce("has_holds", False)
    return Student.objects.annotate(flag=flag, is_held=_is_held()).exclude(flag=F("is_held"))


def _lock_students(student_ids: Collection[int], *, no_key: bool = False) -> dict[int, Student]:
    students = Student.objects.filter(pk__any_of=list(student_ids)).order_by("pk")
    return {student.pk: student for student in students.select_for_update(no_key=no_key)}


def _refusals(
    requested: RequestedHold, student: Student | None, hold: Hold | None, *, replacing: bool
) -> list[Refusal]:
    if student is None:
        return [student_not_found(requested.student_id)]
    if student.erased_at:
        message = _("The personal data of this student is already erased.")
        return [Refusal("already_erased", message, _("Student is erased"))]
    refusals = dates_refusals(requested.starts_on, requested.ends_on)
    if hold is not None and not replacing and not requested.equals(hold):
        message = _("The student has the hold %(code)s already. Release it first.") % {"code": hold.code}
        refusals.append(Refusal("unique", message, _("Hold exists already"), "code"))
    return refusals


def _new_hold(requested: RequestedHold, now: datetime, actor: ActorContext) -> Hold:
    return Hold(**requested._asdict(), placed_at=now, placed_by_id=actor.actor_id, placed_import_id=actor.import_id)


def _save_released(holds: Sequence[Hold], now: datetime, actor: ActorContext) -> None:
    values = {"released_at": now, "released_by": actor.actor_id, "released_import": actor.import_id}
    Hold.objects.filter(pk__in=[hold.pk for hold in holds]).update(**values)


def _set_flags(student_ids: Collection[int]) -> None:
    Student.objects.filter(pk__in=student_ids, has_holds=None).update(has_holds=True)


def _clear_flags(student_ids: Collection[int]) -> None:
    """Clear ``has_holds`` of the students that have no open hold any more."""
    students = Student.objects.filter(pk__in=student_ids, has_holds=True)
    students.filter(~_is_held()).update(has_holds=None)


def _is_held() -> Exists:
    return Exists(Hold.objects.open().filter(student=OuterRef("pk")))
