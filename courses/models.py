"""Terms, the courses offered in them, the staff of courses, and the table of grades."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from courses.meetings import MeetingsField
from courses.prerequisite_items import CodesField, PrerequisitesField
from school.db.constraints import ConstraintErrorsByField, RowConstraint
from school.fields import CreditsField, NormalizedCharField
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
    max_credits = CreditsField(
        _("maximum credits"),
        help_text=_("The credits that a student may take in this term, unless the student has another maximum."),
    )

    census_on = models.DateField(
        _("census day"),
        null=True,
        blank=True,
        help_text=_("The day as of which enrollments are counted."),
    )

    history = HistoricalRecords()

    class Meta:
        ordering = ["-starts_on", "code"]
        verbose_name = _("term")
        verbose_name_plural = _("terms")
        constraints = [
            RowConstraint(
                name="term_ends_after_it_starts",
                fields=("starts_on", "ends_on"),
                holds=lambda term: term.ends_on >= term.starts_on,
                condition=Q(ends_on__gte=F("starts_on")),
                violation_error_code="dates_reversed",
                violation_error_message=_("A term cannot end before it starts."),
            ),
            RowConstraint(
                name="term_drop_deadline_is_within_its_dates",
                fields=("starts_on", "ends_on", "drop_deadline"),
                holds=lambda term: not term.drop_deadline or term.starts_on <= term.drop_deadline <= term.ends_on,
                condition=Q(drop_deadline__gte=F("starts_on"), drop_deadline__lte=F("ends_on")),
                violation_error_code="drop_deadline_outside_term",
                violation_error_message=_("The drop deadline must lie between the first and the last day of the term."),
            ),
            RowConstraint(
                name="term_census_is_within_its_dates",
                fields=("starts_on", "ends_on", "census_on"),
                holds=lambda term: not term.census_on or term.starts_on <= term.census_on <= term.ends_on,
                condition=Q(census_on__gte=F("starts_on"), census_on__lte=F("ends_on")),
                violation_error_code="census_outside_term",
                violation_error_message=_("The census day must lie between the first and the last day of the term."),
            ),
            models.CheckConstraint(
                name="term_max_credits_is_not_negative",
                condition=Q(max_credits__gte=0),
                violation_error_code="min_value",
                violation_error_message=_("Credits cannot be negative."),
            ),
        ]

    def __str__(self) -> str:
        return self.code


class Grade(ConstraintErrorsByField):
    """
    A grade that completions may have. A higher rank is a better grade; a grade without a rank cannot be compared.

    While there are no grades, a completion may have any grade.
    """

    code = NormalizedCharField(_("code"), max_length=32, unique=True, validators=[plain_text])
    passes = models.BooleanField(
        _("passes"), default=True, help_text=_("Whether a course that is completed with this grade is passed.")
    )
    rank = models.PositiveIntegerField(
        _("rank"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_COUNT)],
        help_text=_("A higher rank is a better grade. Empty: the grade cannot be compared."),
    )

    history = HistoricalRecords()

    class Meta:
        ordering = [F("rank").desc(nulls_last=True), "code"]
        verbose_name = _("grade")
        verbose_name_plural = _("grades")
        constraints = [
            models.UniqueConstraint(
                name="grade_rank_is_unique",
                fields=["rank"],
                violation_error_code="unique",
                violation_error_message=_("Another grade has this rank already."),
            ),
            models.CheckConstraint(
                name="course_grade_rank_is_not_negative",
                condition=Q(rank__gte=0),
                violation_error_code="min_value",
                violation_error_message=_("A rank cannot be negative."),
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


# The fields that decide ``Course.depends_on_other_courses``.
DEPENDENCE_FIELDS = frozenset({"code", "term", "credits", "meetings", "corequisites"})


def format_key(code: str, term: str = "", section: str = "") -> str:
    """Return the key of a course: ``MATH-101@2026F@B``, or ``MATH-101@@B`` without a term."""
    if section:
        return f"{code}@{term}@{section}"
    return f"{code}@{term}" if term else code


def has_other_sections(path: str = "") -> Exists:
    """Return the condition that a course has other sections; ``path`` leads from the row to it: ``course__``."""
    in_same_term = Course.objects.alias(in_term=Coalesce("term_id", 0)).filter(
        in_term=Coalesce(OuterRef(f"{path}term_id"), 0), code=OuterRef(f"{path}code")
    )
    return Exists(in_same_term.exclude(pk=OuterRef(f"{path}id")))


def depends_on_other_courses(path: str) -> Q:
    """Return the condition that a rule about a seat in a course reads the student's enrollments in other courses."""
    is_alone = Q(**{f"{path}credits__isnull": True, f"{path}meetings": [], f"{path}corequisites": []})
    return ~is_alone | Q(has_other_sections(path))


class Course(ConstraintErrorsByField):
    """One offering of a course, in one term or in none, in one section. Its datetimes are aware; null: no limit."""

    reason_to_keep = _("The course has enrollments, which are kept. Deactivate the course instead.")

    code = NormalizedCharField(_("code"), max_length=64, validators=[identifier])
    section = NormalizedCharField(
        _("section"),
        max_length=16,
        blank=True,
        default="",
        validators=[identifier],
        help_text=_("Distinguishes several courses with the same code in a term."),
    )
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
    prerequisites = PrerequisitesField(
        _("prerequisites"),
        default=list,
        blank=True,
        help_text=_("The codes of the courses that must be completed first, in any term."),
    )
    credits = CreditsField(
        _("credits"), help_text=_("The credits that count toward the maximum of a student in the term.")
    )
    meetings = MeetingsField(
        _("meetings"), default=list, blank=True, help_text=_("The weekly meetings, in local time.")
    )

    corequisites = CodesField(
        _("corequisites"),
        default=list,
        blank=True,
        help_text=_("The codes of the courses that must be taken in the same term, or passed before."),
    )

    history = HistoricalRecords()

    class Meta:
        ordering = ["code", "id"]
        verbose_name = _("course")
        verbose_name_plural = _("courses")
        constraints = [
            models.UniqueConstraint(
                name="course_code_is_unique_in_a_term",
                fields=["code", "term", "section"],
                violation_error_code="unique",
                violation_error_message=_("This term has a course with this code and section already."),
            ),
            models.UniqueConstraint(
                name="course_code_is_unique_without_a_term",
                fields=["code", "section"],
                condition=Q(term__isnull=True),
                violation_error_code="unique",
                violation_error_message=_("There is a course with this code and section and without a term already."),
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
            models.CheckConstraint(
                name="course_credits_are_not_negative",
                condition=Q(credits__gte=0),
                violation_error_code="min_value",
                violation_error_message=_("Credits cannot be negative."),
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
        """The course's natural key: ``MATH-101@2026F@B``, without the parts at its end that the course lacks."""
        return format_key(self.code, self.term.code if self.term else "", self.section)

    @property
    def titled(self) -> str:
        """The name, with the section if there is one: ``Calculus I (B)``."""
        return f"{self.name} ({self.section})" if self.section else self.name

    @property
    def depends_on_other_courses(self) -> bool:
        """
        True if a rule about a seat in this course reads the student's enrollments in other courses.

        Then the student is locked, too: the locks of two courses do not keep two transactions from changing both. The
        same is true of a course with other sections, which its row does not show.
        """
        return self.credits is not None or bool(self.meetings or self.corequisites)

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
