"""
Exports all data held on a person as one object for JSON: GDPR Articles 15 and 20, FERPA 34 CFR 99.10.

The export names no other person: an actor appears only as the id of an account. Responses that are stored for retries
may be about several people, so the export contains only their times.
"""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet
from django.utils import timezone

from bulk.models import Import
from bulk.personal_data.search import is_in_import_texts, person_rows, search
from school.models import KeptAnswer, PersonalDataAccess
from students.models import Hold, RefusedAct, Student, StudentCourse
from students.privacy.person_lookup import Person, StudentHistory

STUDENT_FIELDS = ("student_number", "given_name", "family_name", "email", "max_credits", "is_active")
ENROLLMENT_FIELDS = (
    "status",
    "enrolled_on",
    "ended_on",
    "waitlisted_at",
    "grade",
    "instead_of_id",
    "version",
    "created_at",
    "updated_at",
)
HOLD_FIELDS = ("id", "code", "reason", "starts_on", "ends_on", "term__code", "placed_at", "placed_by_id")
RELEASE_FIELDS = ("released_at", "released_by_id")
EVENT_FIELDS = ("at", "action", "channel", "actor_id", "from_status", "to_status", "changes", "reason", "waived")
MORE_EVENT_FIELDS = ("refusals", "request_id", "file_import_id")
REFUSAL_FIELDS = ("at", "course_id", "action", "channel", "codes")
ACCESS_FIELDS = ("at", "action", "subject", "door", "actor_id", "course_id", "file_import_id", "scope", "reason")


def collect_personal_data(person: Person) -> dict[str, Any]:
    """
    Return all data held on a person, for ``json.dumps`` with Django's encoder. Reads every kept file.

    The caller must write the record of access before it discloses the result.
    """
    matches = search(person.identifiers)
    return {
        "made_at": timezone.now(),
        "student": _student(person),
        "earlier_versions": [
            _version(each) for each in StudentHistory.objects.filter(id=person.pk).order_by("history_id")
        ],
        "enrollments": list(_enrollments(person)),
        "holds": list(Hold.objects.filter(student=person.pk).order_by("pk").values(*HOLD_FIELDS, *RELEASE_FIELDS)),
        "refusals": list(RefusedAct.objects.filter(student=person.pk).order_by("pk").values(*REFUSAL_FIELDS)),
        "imports": [
            _import(job, person)
            for job in Import.objects.filter(pk__in=matches.matches).order_by("pk")
            if is_in_import_texts(job, person.identifiers) or any(person_rows(job, person.identifiers))
        ],
        "imports_not_searched": matches.unsearchable,
        "access": list(access_to(person).order_by("pk").values(*ACCESS_FIELDS)),
        "admin_log": list(log_entries(person).order_by("pk").values("action_time", "user_id", "action_flag")),
        "answers_kept_for_retries": [answer.at for answer in stored_responses(person)],
    }


def _student(person: Person) -> dict[str, Any] | None:
    if person.student is None:
        return None
    names = ("id", *STUDENT_FIELDS, "erased_at")
    return {name: getattr(person.student, name) for name in names}


def _version(version: Any) -> dict[str, Any]:
    details = {"at": version.history_date, "actor_id": version.history_user_id, "reason": version.history_change_reason}
    return {
        **details,
        "change": version.get_history_type_display(),
        **{name: getattr(version, name) for name in STUDENT_FIELDS},
    }


def _enrollments(person: Person) -> Iterator[dict[str, Any]]:
    enrollments = StudentCourse.objects.filter(student=person.pk).select_related("course__term").order_by("pk")
    for enrollment in enrollments.prefetch_related("events"):
        course = enrollment.course
        yield {
            "id": enrollment.pk,
            "course": {
                "code": course.code,
                "name": course.name,
                "term": course.term and course.term.code,
                "section": course.section,
            },
            **{name: getattr(enrollment, name) for name in ENROLLMENT_FIELDS},
            "journal": [
                {name: getattr(event, name) for name in (*EVENT_FIELDS, *MORE_EVENT_FIELDS)}
                for event in enrollment.events.all()
            ],
        }


def _import(job: Import, person: Person) -> dict[str, Any]:
    details = {"id": job.pk, "kind": job.kind, "file": job.file_name, "state": job.state, "sent_at": job.created_at}
    return {**details, "rows": [row._asdict() for row in person_rows(job, person.identifiers)]}


def access_to(person: Person) -> QuerySet[PersonalDataAccess]:
    """Return the entries of the record of access about the person, or about a roster or list that has the person."""
    courses = StudentCourse.objects.filter(student=person.pk).values("course")
    terms = StudentCourse.objects.filter(student=person.pk, course__term__isnull=False).values("course__term__code")
    since = (
        StudentHistory.objects.filter(id=person.pk)
        .order_by("history_id")
        .values_list("history_date", flat=True)
        .first()
    )
    lists = Q(course__in=courses) | Q(subject="enrollments", scope="") | Q(subject="enrollments", scope__in=terms)
    return PersonalDataAccess.objects.filter(Q(student=person.pk) | (lists & Q(at__gte=since) if since else lists))


def log_entries(person: Person) -> QuerySet[LogEntry]:
    """Return the entries of the admin's log about the person. They contain the names of the edited objects."""
    types = ContentType.objects.get_for_models(Student, StudentCourse, Hold)
    entries = Q(content_type=types[Student], object_id=str(person.pk))
    for model in (StudentCourse, Hold):
        ids = model._default_manager.filter(student=person.pk).values_list("pk", flat=True)
        entries |= Q(content_type=types[model], object_id__in=[str(pk) for pk in ids])
    return LogEntry.objects.filter(entries)


def stored_responses(person: Person) -> list[KeptAnswer]:
    """Return the responses, stored for retries, to requests that contain an identifier of the person."""
    answers = KeptAnswer.objects.only("pk", "at", "body").order_by("pk").iterator(chunk_size=500)
    return [answer for answer in answers if person.identifiers.may_occur_in(answer.body.encode())]
