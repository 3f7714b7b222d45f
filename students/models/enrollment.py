"""The enrollment of a student in a course: its statuses, query set and model."""

from typing import Any, Self

from django.db import models
from django.db.models import Case, Count, Exists, F, IntegerField, OuterRef, Q, Subquery, When
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from courses.models import Course
from students.models.student import Student


class Status(models.TextChoices):
    WAITLISTED = "waitlisted", _("waitlisted")
    ENROLLED = "enrolled", _("enrolled")
    COMPLETED = "completed", _("completed")
    DROPPED = "dropped", _("dropped")
    WITHDRAWN = "withdrawn", _("withdrawn")


OPEN_STATUSES = (Status.WAITLISTED, Status.ENROLLED)
LEFT_STATUSES = (Status.DROPPED, Status.WITHDRAWN)
ENDED_STATUSES = (Status.COMPLETED, *LEFT_STATUSES)


class StudentCourseQuerySet(models.QuerySet["StudentCourse"]):
    def open(self) -> Self:
        """Return the enrollments that hold a seat or are on the waitlist."""
        return self.filter(status__in=OPEN_STATUSES)

    def enrolled(self) -> Self:
        """Return the enrollments that hold a seat."""
        return self.filter(status=Status.ENROLLED)

    def waitlisted(self) -> Self:
        """Return the enrollments on the waitlist."""
        return self.filter(status=Status.WAITLISTED)

    def in_waitlist_order(self) -> Self:
        """Return waitlisted enrollments by course, in the order in which they get seats: first come, first served."""
        return self.waitlisted().order_by("course", "waitlisted_at", "id")

    def completed(self) -> Self:
        return self.filter(status=Status.COMPLETED)

    def latest_per_student_and_course(self) -> Self:
        """Return the latest enrollment of each student in each course; the earlier ones are history."""
        newer = StudentCourse.objects.filter(student=OuterRef("student"), course=OuterRef("course"))
        return self.filter(~Exists(newer.filter(pk__gt=OuterRef("pk"))))

    def with_details(self) -> Self:
        """
        Add student, course, term and waitlist position: the data that is needed to show an enrollment.

        The position is the annotation ``annotated_waitlist_position``; it is None for an enrollment that is not
        waitlisted.
        """
        ahead = StudentCourse.objects.waitlisted().filter(
            Q(waitlisted_at__lt=OuterRef("waitlisted_at"))
            | Q(waitlisted_at=OuterRef("waitlisted_at"), id__lt=OuterRef("id")),
            course=OuterRef("course"),
        )
        rank = Coalesce(Subquery(count_per_course_subquery(ahead)), 0) + 1
        position = Case(When(status=Status.WAITLISTED, then=rank), output_field=IntegerField(null=True))
        return self.select_related("student", "course__term").annotate(annotated_waitlist_position=position)


class StudentCourse(models.Model):
    """
    An enrollment of a student in a course. Only ``students.enrollment`` writes this table.

    A student who enrolls again after an enrollment has ended gets a new row; the earlier row stays as history.
    """

    student = models.ForeignKey(
        Student,
        on_delete=models.PROTECT,
        related_name="enrollments",
        db_index=False,
        verbose_name=_("student"),
    )
    course = models.ForeignKey(
        Course,
        on_delete=models.PROTECT,
        related_name="enrollments",
        db_index=False,
        verbose_name=_("course"),
    )
    status = models.CharField(_("status"), max_length=16, choices=Status)
    enrolled_on = models.DateField(_("enrolled on"), null=True, blank=True)
    ended_on = models.DateField(_("ended on"), null=True, blank=True)
    waitlisted_at = models.DateTimeField(_("waitlisted at"), null=True, blank=True)
    grade = models.CharField(_("grade"), max_length=32, blank=True)
    instead_of = models.ForeignKey(
        Course,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("instead of"),
        help_text=_("The course that the student leaves for a seat in this one."),
    )
    version = models.PositiveIntegerField(_("version"), default=1)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now)

    objects = StudentCourseQuerySet.as_manager()

    annotated_waitlist_position: int | None  # set only on enrollments that were read by ``with_details``

    class Meta:
        ordering = ["-id"]
        verbose_name = _("enrollment")
        verbose_name_plural = _("enrollments")
        # Enrollments are never deleted, so there is no delete permission.
        default_permissions = ("add", "change", "view")
        permissions = [
            ("waive_rules", "Can waive rules about enrollment"),
            ("complete_enrollments", "Can complete enrollments, with a grade"),
        ]
        constraints = [
            models.UniqueConstraint(
                name="enrollment_is_open_once",
                fields=["student", "course"],
                condition=Q(status__in=OPEN_STATUSES),
                violation_error_code="unique",
                violation_error_message=_("This student is enrolled in this course already."),
            ),
            # This constraint also limits ``status`` to the known values.
            models.CheckConstraint(
                name="enrollment_has_ended_when_not_open",
                condition=Q(status__in=OPEN_STATUSES, ended_on__isnull=True)
                | Q(status__in=ENDED_STATUSES, ended_on__isnull=False),
                violation_error_message=_("An open enrollment has no end date, and an ended enrollment has one."),
            ),
            models.CheckConstraint(
                name="enrollment_ends_after_it_starts",
                condition=Q(ended_on__gte=F("enrolled_on")),
                violation_error_code="dates_reversed",
                violation_error_message=_("An enrollment cannot end before it starts."),
            ),
            models.CheckConstraint(
                name="enrollment_waits_since_an_instant",
                condition=~Q(status=Status.WAITLISTED) | Q(waitlisted_at__isnull=False, enrolled_on__isnull=True),
                violation_error_message=_(
                    "A waitlisted enrollment has the time when the wait began, and no day of enrollment."
                ),
            ),
            models.CheckConstraint(
                name="enrollment_has_a_day_of_enrollment",
                condition=~Q(status__in=[Status.ENROLLED, Status.COMPLETED]) | Q(enrolled_on__isnull=False),
                violation_error_message=_("An enrollment that is or was enrolled has a day of enrollment."),
            ),
            models.CheckConstraint(
                name="enrollment_replaces_another_course_while_it_waits",
                condition=Q(instead_of__isnull=True) | Q(status=Status.WAITLISTED) & ~Q(instead_of=F("course")),
                violation_error_message=_("Only a waitlisted enrollment replaces a course, and a different one."),
            ),
            models.CheckConstraint(
                name="enrollment_is_graded_when_completed",
                condition=Q(grade="") | Q(status=Status.COMPLETED),
                violation_error_message=_("Only a completed enrollment has a grade."),
            ),
        ]
        indexes = [
            models.Index(fields=["student", "course"], name="enrollment_by_student"),
            models.Index(fields=["course", "id", "status"], name="enrollment_on_roster"),
            models.Index(
                fields=["course", "waitlisted_at", "id"],
                name="enrollment_in_line",
                condition=Q(status=Status.WAITLISTED),
            ),
            models.Index(fields=["course"], name="enrollment_replacing", condition=Q(instead_of__isnull=False)),
            models.Index(fields=["instead_of"], name="enrollment_replaced", condition=Q(instead_of__isnull=False)),
            models.Index(fields=["id"], name="enrollment_open", condition=Q(status__in=OPEN_STATUSES)),
            models.Index(fields=["course", "status", "updated_at"], name="enrollment_by_course"),
            models.Index(fields=["status", "id"], name="enrollment_by_status"),
            models.Index(fields=["updated_at", "id"], name="enrollment_by_change"),
            models.Index(
                fields=["updated_at", "id"], name="enrollment_open_by_change", condition=Q(status__in=OPEN_STATUSES)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.student} · {self.course}"

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def key(self) -> tuple[int, int]:
        """The ids of the student and the course, in this order."""
        return self.student_id, self.course_id

    @property
    def waitlist_position(self) -> int | None:
        """
        The waitlist position, from 1; None if not waitlisted.

        The position is read from the database, unless ``with_details`` has read it.
        """
        if self.status != Status.WAITLISTED:
            return None
        if not hasattr(self, "annotated_waitlist_position"):
            self.annotated_waitlist_position = (
                StudentCourse.objects.with_details().get(pk=self.pk).annotated_waitlist_position
            )
        return self.annotated_waitlist_position


def count_per_course_subquery(enrollments: StudentCourseQuerySet) -> models.QuerySet[Any, Any]:
    """Return a subquery with the number of these enrollments in the course of the outer query."""
    return enrollments.order_by().values("course").annotate(count=Count("pk")).values("count")
