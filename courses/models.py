"""Terms, the courses offered in them, and the staff of courses."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from school.db.constraints import ConstraintErrorsByField
from school.fields import NormalizedCharField
from school.validators import MAX_COUNT, identifier, in_our_times, plain_text


class Term(ConstraintErrorsByField):
    """A term of the school year. Its first and its last day belong to the term; days are in ``TIME_ZONE``."""

    reason_to_keep = _(
        "Courses are offered in this term. Move them to another term, or delete them, and then the term."
    )

    code = NormalizedCharField(_("code"), max_length=32, unique=True, validators=[identifier])
    name = NormalizedCharField(_("name"), max_length=200, validators=[plain_text])
    starts_on = models.DateField(_("starts on"), validators=[in_our_times])
    ends_on = models.DateField(_("ends on"), validators=[in_our_times])
    drop_deadline = models.DateField(
        _("drop deadline"),
        null=True,
        blank=True,
        help_text=_(
            "A student who leaves a course on or before this date is marked dropped; after it, withdrawn."
            " Empty: always dropped."
        ),
    )

    history = HistoricalRecords()

    class Meta:
        ordering = ["-starts_on", "code"]
        verbose_name = _("term")
        verbose_name_plural = _("terms")
        constraints = [
            models.CheckConstraint(
                name="term_ends_after_it_starts",
                condition=Q(ends_on__gte=F("starts_on")),
                violation_error_code="dates_reversed",
                violation_error_message=_("A term cannot end before it starts."),
            ),
            models.CheckConstraint(
                name="term_drop_deadline_is_within_its_dates",
                condition=Q(drop_deadline__gte=F("starts_on"), drop_deadline__lte=F("ends_on")),
                violation_error_code="drop_deadline_outside_term",
                violation_error_message=_("The drop deadline must lie between the first and the last day of the term."),
            ),
        ]

    def __str__(self) -> str:
        return self.code


class Level(models.TextChoices):
    INTRODUCTORY = "introductory", _("introductory")
    INTERMEDIATE = "intermediate", _("intermediate")
    ADVANCED = "advanced", _("advanced")
    GRADUATE = "graduate", _("graduate")


class WindowConstraint(models.CheckConstraint):
    """Enrollment closes after it opens. Validates without a query, because imports check many rows together."""

    def deconstruct(self) -> Any:
        _path, args, kwargs = super().deconstruct()
        return "django.db.models.CheckConstraint", args, kwargs

    def validate(self, model: Any, instance: Any, exclude: Any = None, using: str = DEFAULT_DB_ALIAS) -> None:
        opens_at, closes_at = instance.enrollment_opens_at, instance.enrollment_closes_at
        if opens_at and closes_at and closes_at <= opens_at:
            raise ValidationError(self.get_violation_error_message(), code=self.violation_error_code)


class Course(ConstraintErrorsByField):
    """One offering of a course, in one term or in none. Its datetimes are aware, and null means no limit."""

    reason_to_keep = _("The course has enrollments, which are kept. Deactivate the course instead.")

    code = NormalizedCharField(_("code"), max_length=64, validators=[identifier])
    name = NormalizedCharField(_("name"), max_length=200, validators=[plain_text])
    level = models.CharField(_("level"), max_length=16, choices=Level)
    term = models.ForeignKey(
        Term, on_delete=models.PROTECT, null=True, blank=True, related_name="courses", verbose_name=_("term")
    )
    capacity = models.PositiveIntegerField(
        _("capacity"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_COUNT)],
        help_text=_("The maximum number of enrolled students. Empty: no limit; 0: closed."),
    )
    waitlist_capacity = models.PositiveIntegerField(
        _("waitlist capacity"), null=True, blank=True, default=0, validators=[MaxValueValidator(MAX_COUNT)]
    )
    enrollment_opens_at = models.DateTimeField(
        _("enrollment opens at"), null=True, blank=True, validators=[in_our_times]
    )
    enrollment_closes_at = models.DateTimeField(
        _("enrollment closes at"), null=True, blank=True, validators=[in_our_times]
    )
    is_active = models.BooleanField(_("active"), default=True)
    prerequisites = models.JSONField(
        _("prerequisites"),
        default=list,
        blank=True,
        help_text=_("The codes of the courses that must be completed first, in any term."),
    )

    history = HistoricalRecords()

    class Meta:
        ordering = ["code", "id"]
        verbose_name = _("course")
        verbose_name_plural = _("courses")
        constraints = [
            models.UniqueConstraint(
                name="course_code_is_unique_in_a_term",
                fields=["code", "term"],
                violation_error_code="unique",
                violation_error_message=_("This term has a course with this code already."),
            ),
            models.UniqueConstraint(
                name="course_code_is_unique_without_a_term",
                fields=["code"],
                condition=Q(term__isnull=True),
                violation_error_code="unique",
                violation_error_message=_("There is a course with this code and without a term already."),
            ),
            models.CheckConstraint(
                name="course_capacity_is_not_negative",
                condition=Q(capacity__gte=0),
                violation_error_code="min_value",
                violation_error_message=_("A capacity cannot be negative."),
            ),
            models.CheckConstraint(
                name="course_waitlist_capacity_is_not_negative",
                condition=Q(waitlist_capacity__gte=0),
                violation_error_code="min_value",
                violation_error_message=_("A waitlist's capacity cannot be negative."),
            ),
            WindowConstraint(
                name="course_enrollment_closes_after_it_opens",
                condition=Q(enrollment_closes_at__gt=F("enrollment_opens_at")),
                violation_error_code="dates_reversed",
                violation_error_message=_("Enrollment cannot close before it opens."),
            ),
            models.CheckConstraint(
                name="course_level_is_known",
                condition=Q(level__in=Level.values),
                violation_error_code="invalid_choice",
                violation_error_message=_("This level is not known."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.full_code} {self.name}"

    @property
    def full_code(self) -> str:
        """The course's natural key: ``MATH-101@2026F``, or ``MATH-101`` if it has no term."""
        return f"{self.code}@{self.term.code}" if self.term else self.code

    def has_opened(self, now: datetime) -> bool:
        return self.enrollment_opens_at is None or self.enrollment_opens_at <= now

    def has_closed(self, now: datetime) -> bool:
        return self.enrollment_closes_at is not None and self.enrollment_closes_at <= now


class CourseStaff(models.Model):
    """
    A user who teaches or looks after a course.

    A user with the permission ``own_courses_only`` sees no other courses: ``school.access.row_scope``.
    """

    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="staff", verbose_name=_("course"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="staff_of", verbose_name=_("user")
    )

    class Meta:
        ordering = ["course", "user"]
        verbose_name = _("member of a course's staff")
        verbose_name_plural = _("course staff")
        default_permissions = ("add", "delete", "view")
        permissions = [("own_courses_only", "Is kept to own courses, whatever else is permitted")]
        constraints = [
            models.UniqueConstraint(
                name="course_staff_is_named_once",
                fields=["course", "user"],
                violation_error_code="unique",
                violation_error_message=_("This user is staff of this course already."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.course}"
