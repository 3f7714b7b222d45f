"""
Erasure of a person's data: GDPR Article 17.

Names, email and number are deleted from the student, the history, the files of imports, the admin's log, sessions and
stored responses, and the reasons of holds are deleted. Enrollments, their journal and released holds stay, under a
pseudonym. There is no undo.
``students.privacy.database_vacuum`` then removes the erased data from the files of the database.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from bulk.models import ACTIVE_STATES, PROCESSING_STATES, UNDO, Import, Mode
from bulk.personal_data.redaction import redact, redact_import_texts
from bulk.personal_data.search import SearchResult, search
from school.access.access_log import Action, Door, Subject, record
from school.models import KeptAnswer, PersonalDataAccess
from school.refusals import Refusal, Refused
from students.holds import erase_holds
from students.models import EnrollmentEvent, RefusedAct, Student, StudentCourse
from students.models.student import ERASED
from students.privacy.export import log_entries, stored_responses
from students.privacy.person_lookup import Person, StudentHistory, person_of, refuse_reason_with_identifier
from students.privacy.transient_copies import delete_copies


@dataclass
class ErasureResult:
    """
    The result of an erasure.

    ``named_in_journal`` and ``named_in_access`` have the ids of the entries of the journal and of the record of access
    whose reason names the person; these entries cannot be changed. ``imports_discarded`` has the ids of the imports
    whose file could not be searched and was deleted.
    """

    pseudonym: str
    versions: int = 0
    # Maps the id of an import to the number of rows that were redacted in it.
    imports: dict[int, int] = field(default_factory=dict)
    imports_discarded: list[int] = field(default_factory=list)
    named_in_journal: list[int] = field(default_factory=list)
    named_in_access: list[int] = field(default_factory=list)


def erasure_blockers(person: Person, named: Collection[int] = ()) -> list[Refusal]:
    """
    Return the reasons why a person cannot be erased now; an empty list if nothing prevents it.

    ``named`` has the ids of the imports whose files name the person; an active one among them prevents the erasure.
    """
    if person.is_erased:
        return [Refusal("already_erased", _("The personal data of this student is already erased."))]
    refusals = []
    open_enrollments = (
        StudentCourse.objects.open().filter(student=person.pk).select_related("course__term").order_by("pk")
    )
    courses = ", ".join(enrollment.course.full_code for enrollment in open_enrollments)
    if courses:
        message = _("This student has open enrollments: %(courses)s. Drop or complete them first.")
        refusals.append(Refusal("has_open_enrollments", message % {"courses": courses}))
    # A full import or an undo may later write a result for an enrollment that its file does not name.
    writing = Q(state__in=PROCESSING_STATES) & (Q(mode=Mode.FULL) | Q(kind=UNDO))
    for job in Import.objects.filter(Q(pk__in=named, state__in=ACTIVE_STATES) | writing).order_by("pk"):
        message = _(
            "Import %(id)s (%(state)s) may have rows about this student. Wait until it has ended, or cancel it."
        )
        parts = {"id": job.pk, "state": job.get_state_display()}
        refusals.append(Refusal("named_by_active_import", message % parts))
    return refusals


def erase(
    person: Person, *, reason: str, door: Door, actor: Any = None, prior_search: SearchResult | None = None
) -> ErasureResult:
    """
    Erase a person's data permanently and record it in the record of access; raise ``Refused`` if it is not possible.

    The files of imports are searched before the transaction, since that may take long; files received after that are
    searched within the transaction. A caller that erases many people makes one search for all of them, and passes its
    result as ``prior_search``.
    """
    if not reason.strip():
        raise Refused([Refusal("reason_missing", _("An erasure requires a reason."), field="reason")])
    refuse_reason_with_identifier(person, reason)
    if refusals := erasure_blockers(person):
        raise Refused(refusals)
    first_search = search(
        person.identifiers, import_ids=prior_search and [*prior_search.matches, *prior_search.unsearchable]
    )
    with transaction.atomic():
        if person.student is not None:
            person = person_of(Student.objects.select_for_update().get(pk=person.pk))
        later_search = search(person.identifiers, after=(prior_search or first_search).newest_id)
        named, unsearched = (
            [*first_search.matches, *later_search.matches],
            [*first_search.unsearchable, *later_search.unsearchable],
        )
        if refusals := erasure_blockers(person, [*named, *unsearched]):
            raise Refused(refusals)
        events = EnrollmentEvent.objects.filter(enrollment__student=person.pk)
        accesses = PersonalDataAccess.objects.filter(student=person.pk)
        result = ErasureResult(
            person.pseudonym,
            imports_discarded=unsearched,
            named_in_journal=_rows_whose_reason_names(person, events),
            named_in_access=_rows_whose_reason_names(person, accesses),
        )
        for job in Import.objects.select_for_update().filter(pk__in=named).order_by("pk"):
            result.imports[job.pk] = redact(job, person.identifiers)
        for job in Import.objects.select_for_update().filter(pk__in=unsearched).order_by("pk"):
            job.discard()
            redact_import_texts(job, person.identifiers)
        KeptAnswer.objects.filter(pk__in=[answer.pk for answer in stored_responses(person)]).delete()
        RefusedAct.objects.filter(student=person.pk).delete()
        log_entries(person).update(object_repr=person.pseudonym)
        delete_copies(person.identifiers, person.pseudonym)
        if person.student is not None:
            erase_holds(person.pk, actor_id=actor and actor.pk)
            _anonymize(person.student, person.pseudonym, actor)
        versions = StudentHistory.objects.filter(id=person.pk)
        result.versions = versions.update(
            student_number=person.pseudonym, given_name="", family_name="", email="", max_credits=None
        )
        if person.student is None:  # the history of a deleted student gets a version too, which the change feed shows
            _add_version(person, actor)
        details = {"student_id": person.pk, "reason": reason.strip()}
        record(Action.ERASED, Subject.STUDENT, door, actor_id=actor and actor.pk, **details)
    return result


def _anonymize(student: Student, pseudonym: str, actor: Any) -> None:
    student.student_number, student.given_name, student.family_name, student.email = pseudonym, "", "", ""
    student.is_active, student.erased_at = False, timezone.now()
    student.max_credits = None  # type: ignore[assignment]  # django-stubs ignores null of a subclass of DecimalField
    versioned: Any = student
    versioned._history_user, versioned._change_reason = actor, ERASED
    student.save()


def _add_version(person: Person, actor: Any) -> None:
    StudentHistory.objects.create(
        id=person.pk,
        student_number=person.pseudonym,
        is_active=False,
        history_type="-",
        history_date=timezone.now(),
        history_user=actor,
        history_change_reason=ERASED,
    )


def _rows_whose_reason_names(person: Person, rows: QuerySet[Any]) -> list[int]:
    """Return the primary keys of the rows whose reason names the person."""
    reasons = rows.exclude(reason="").order_by("pk").values_list("pk", "reason")
    return [pk for pk, reason in reasons if person.identifiers.find_mention(reason)]
