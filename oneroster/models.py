"""
Published records: the id, status and time of change of each object that OneRoster shows.

``oneroster.publishing`` writes them. They contain no name, email or number of a person: those are read from the student
or the account whenever the record is shown, so a record of a deleted or erased person contains no personal data.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q


class RecordStatus(models.TextChoices):
    ACTIVE = "active"
    TO_BE_DELETED = "tobedeleted"


class Record(models.Model):
    """
    An object that OneRoster shows.

    ``removed_at`` is set on a record whose source was deleted or erased. The record is deleted
    ``ONEROSTER_TOMBSTONE_DAYS`` later.
    """

    sourced_id = models.UUIDField(unique=True)
    status = models.CharField(max_length=11, choices=RecordStatus, default=RecordStatus.ACTIVE)
    modified_at = models.DateTimeField(db_index=True)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True
        default_permissions = ()
        ordering = ["sourced_id"]
        indexes = [models.Index(fields=["removed_at"], name="%(class)s_removed", condition=Q(removed_at__isnull=False))]

    def __str__(self) -> str:
        return str(self.sourced_id)


class OrgRecord(Record):
    name = models.CharField(max_length=200)
    identifier = models.CharField(max_length=200)


class SessionRecord(Record):
    """A school year, a term or a grading period. ``children`` has the ids of its parts, separated by commas."""

    type = models.CharField(max_length=16)
    title = models.CharField(max_length=200)
    begin_on = models.DateField()
    end_on = models.DateField()
    school_year = models.CharField(max_length=4)
    parent_ref = models.UUIDField(null=True)
    children = models.TextField(blank=True)
    term_id = models.BigIntegerField(null=True)


class CourseRecord(Record):
    """A course code. Its title is the name of the newest course of School with this code."""

    code = models.CharField(max_length=64)
    title = models.CharField(max_length=200)


class ClassRecord(Record):
    """A course of School: one offering of a course code."""

    title = models.CharField(max_length=220)
    code = models.CharField(max_length=128)
    course_ref = models.UUIDField(db_index=True)
    session_ref = models.UUIDField(db_index=True)
    course_id = models.BigIntegerField(db_index=True)
    term_id = models.BigIntegerField(null=True, db_index=True)


class UserRecord(Record):
    """A student, or an account that is staff of a course. A record of a deleted student keeps the student's id."""

    role = models.CharField(max_length=16)
    student = models.ForeignKey(
        "students.Student", on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="+"
    )
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="+"
    )


class EnrollmentRecord(Record):
    """A student or a member of staff in a class. ``user_ref`` and ``class_ref`` are the ids of their records."""

    user_ref = models.UUIDField(db_index=True)
    class_ref = models.UUIDField(db_index=True)
    role = models.CharField(max_length=16)
    begin_on = models.DateField()
    end_on = models.DateField()


class Touched(models.Model):
    """
    A row of another table that was added, changed or deleted, and is not published yet. Triggers write this table.

    A row of this table disappears when it is published. So a change is published whenever its transaction commits.
    """

    kind = models.CharField(max_length=8)
    source_id = models.BigIntegerField()
    account_id = models.BigIntegerField(null=True)

    class Meta:
        default_permissions = ()
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.source_id}"


class Progress(models.Model):
    """
    How far the enrollments are published: the last entry of the journal, and the last enrollment that was new.

    ``event_id`` is None before the first publication. ``published_at`` is the time of the last one.
    """

    event_id = models.BigIntegerField(null=True)
    enrollment_id = models.BigIntegerField(default=0)
    published_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.event_id}"
