"""
Erasing a person: GDPR Article 17. Names, email and number go, from the student, the history, the files of imports and
the admin's log; enrollments and their journal stay, under a pseudonym. There is no way back.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from bulk.blackout import black_out
from bulk.models import ACTIVE, Import
from bulk.traces import Search, search
from school.disclosures import Action, Door, Subject, record
from school.models import KeptAnswer
from school.refusals import Refusal, Refused
from students.models import EnrollmentEvent, RefusedAct, Student, StudentCourse
from students.privacy.held import kept_answers, log_entries
from students.privacy.person import VERSIONS, Person, person_of

REASON = "erased"  # what the history says of the last version


@dataclass
class Erased:
    """
    What became of a person's data.

    ``named_in_journal`` are entries of the journal whose reason may have the name: they cannot be changed.
    ``imports_not_searched`` have a file that cannot be read.
    """

    pseudonym: str
    versions: int = 0
    imports: dict[int, int] = field(default_factory=dict)  # rows blacked out, by import
    imports_not_searched: list[int] = field(default_factory=list)
    named_in_journal: list[int] = field(default_factory=list)


def objections(person: Person, named: Collection[int] = ()) -> list[Refusal]:
    """Return what stands against erasing a person now."""
    if person.is_erased:
        return [Refusal("already_erased", _("The data of this student is erased already."))]
    refusals = []
    open_ones = StudentCourse.objects.open().filter(student=person.pk).select_related("course__term").order_by("pk")
    courses = ", ".join(enrollment.course.key for enrollment in open_ones)
    if courses:
        message = _("This student has open enrollments: %(courses)s. Drop or complete them first.")
        refusals.append(Refusal("has_open_enrollments", message % {"courses": courses}))
    waiting = Import.objects.filter(pk__in=named, state__in=ACTIVE)
    for job in waiting:
        message = _("Import %(id)s, which is %(state)s, names this student. Wait for its end, or cancel it.")
        parts = {"id": job.pk, "state": job.get_state_display()}
        refusals.append(Refusal("named_by_active_import", message % parts))
    return refusals


def erase(person: Person, *, reason: str, door: Door, actor: Any = None, searched: Search | None = None) -> Erased:
    """
    Erase a person's data, for good, and write it into the record of access; raise ``Refused`` where that cannot be.

    Files are searched before the transaction, which may take long, and what came since within it. Who erases many has
    ``searched`` for all of them at once.
    """
    if not reason.strip():
        raise Refused([Refusal("reason_missing", _("Erasing takes a reason."), field="reason")])
    if refusals := objections(person):
        raise Refused(refusals)
    found = search(person.words, among=searched and [*searched.named, *searched.unread])
    with transaction.atomic():
        if person.student is not None:
            person = person_of(Student.objects.select_for_update().get(pk=person.pk))
        since = search(person.words, after=(searched or found).newest)
        named, unread = [*found.named, *since.named], [*found.unread, *since.unread]
        if refusals := objections(person, named):
            raise Refused(refusals)
        erased = Erased(person.pseudonym, imports_not_searched=unread, named_in_journal=_reasons_with_the_name(person))
        for job in Import.objects.select_for_update().filter(pk__in=named).order_by("pk"):
            erased.imports[job.pk] = black_out(job, person.words)
        KeptAnswer.objects.filter(pk__in=[answer.pk for answer in kept_answers(person)]).delete()
        RefusedAct.objects.filter(student=person.pk).delete()
        log_entries(person).update(object_repr=person.pseudonym)
        if person.student is not None:
            _empty(person.student, person.pseudonym, actor)
        versions = VERSIONS.objects.filter(id=person.pk)
        erased.versions = versions.update(student_number=person.pseudonym, given_name="", family_name="", email="")
        about = {"student_id": person.pk, "reason": reason.strip()}
        record(Action.ERASED, Subject.STUDENT, door, actor_id=actor and actor.pk, **about)
    return erased


def _empty(student: Student, pseudonym: str, actor: Any) -> None:
    student.student_number, student.given_name, student.family_name, student.email = pseudonym, "", "", ""
    student.is_active, student.erased_at = False, timezone.now()
    signed: Any = student
    signed._history_user, signed._change_reason = actor, REASON
    student.save()


def _reasons_with_the_name(person: Person) -> list[int]:
    """Return the entries of the person's journal whose reason has one of the names, the number or the email in it."""
    fields = ("student_number", "given_name", "family_name", "email")
    known = {value for row in VERSIONS.objects.filter(id=person.pk).values_list(*fields) for value in row if value}
    events = EnrollmentEvent.objects.filter(enrollment__student=person.pk).exclude(reason="").order_by("pk")
    return [
        pk
        for pk, reason in events.values_list("pk", "reason")
        if any(value.lower() in reason.lower() for value in known)
    ]
