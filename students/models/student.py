"""The student model, with its constraints."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models import Q, Value
from django.db.models.functions import Cast, Concat, Lower
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from courses.models import Course
from school.db.constraints import ConstraintErrorsByField, RowConstraint
from school.fields import CreditsField, NormalizedCharField, NormalizedEmailField
from school.validators import email_domain, identifier, plain_text


class NameConstraint(models.CheckConstraint):
    """Requires at least one of the two names, since not everybody has both. Validates without a query."""

    def deconstruct(self) -> Any:
        _path, args, kwargs = super().deconstruct()
        return "django.db.models.CheckConstraint", args, kwargs

    def validate(self, model: Any, instance: Any, exclude: Any = None, using: str = DEFAULT_DB_ALIAS) -> None:
        if not (instance.given_name or instance.family_name or instance.erased_at):
            error = ValidationError(self.get_violation_error_message(), code=self.violation_error_code)
            raise ValidationError({"family_name": error})


# The student number of an erased student. It contains only the id of the student, which enrollments refer to, and no
# personal data.
PSEUDONYM = Concat(Value("erased-"), Cast("id", models.CharField()))

ERASED = "erased"  # the change reason of the version that an erasure adds to the history


def _is_nobody(student: Any) -> bool:
    """Return True if the student has no personal data."""
    values = student.student_number, student.given_name, student.family_name, student.email, student.is_active
    return values == (f"erased-{student.pk}", "", "", "", False)


class Student(ConstraintErrorsByField):
    reason_to_keep = _("The student has enrollments, which are kept. Deactivate the student instead.")

    student_number = NormalizedCharField(
        _("student number"),
        max_length=64,
        unique=True,
        validators=[identifier],
        help_text=_("Text: leading zeros are kept."),
    )
    given_name = NormalizedCharField(
        _("given name"),
        max_length=150,
        blank=True,
        validators=[plain_text],
        help_text=_("A person with one name has it in one of the two fields."),
    )
    family_name = NormalizedCharField(_("family name"), max_length=150, blank=True, validators=[plain_text])
    email = NormalizedEmailField(_("email"), blank=True, validators=[plain_text, email_domain])
    is_active = models.BooleanField(_("active"), default=True)
    max_credits = CreditsField(
        _("maximum credits"),
        help_text=_("The credits that this student may take in a term. Empty: the maximum of the term."),
    )
    # The time at which the personal data was erased; None if it was not. A constraint ensures that an erased student
    # has no number, name or email.
    erased_at = models.DateTimeField(_("erased at"), null=True, blank=True, editable=False)
    # True if the student has a hold that is not released, else None. A decision reads it with the student, under the
    # same lock, so that students without holds need no query. Only ``students.holds`` writes it, and ``save`` leaves it
    # unchanged. It is never False: a nullable column is added without copying the table, and on SQLite a copy would
    # lose its triggers.
    has_holds = models.BooleanField(_("on hold"), null=True, editable=False)
    courses: "models.ManyToManyField[Course, Any]" = models.ManyToManyField(
        Course,
        through="StudentCourse",
        through_fields=("student", "course"),
        related_name="students",
        verbose_name=_("courses"),
    )

    history = HistoricalRecords(excluded_fields=["erased_at", "has_holds"])

    class Meta:
        ordering = ["family_name", "given_name", "id"]
        verbose_name = _("student")
        verbose_name_plural = _("students")
        permissions = [
            ("export_personal_data", "Can export all that is held on a student"),
            ("erase_student", "Can erase the personal data of a student"),
        ]
        constraints = [
            RowConstraint(
                name="student_is_nobody_once_erased",
                holds=lambda student: not student.erased_at or _is_nobody(student),
                condition=Q(erased_at__isnull=True)
                | Q(student_number=PSEUDONYM, given_name="", family_name="", email="", is_active=False),
                violation_error_code="erased",
                violation_error_message=_("The data of this student was erased and cannot be entered again."),
            ),
            NameConstraint(
                name="student_has_a_name",
                condition=~Q(given_name="", family_name="") | Q(erased_at__isnull=False),
                violation_error_code="blank",
                violation_error_message=_("Give at least one name."),
            ),
            models.CheckConstraint(
                name="student_max_credits_is_not_negative",
                condition=Q(max_credits__gte=0),
                violation_error_code="min_value",
                violation_error_message=_("Credits cannot be negative."),
            ),
            models.UniqueConstraint(
                Lower("email"),
                name="student_email_is_unique",
                condition=~Q(email=""),
                violation_error_code="unique",
                violation_error_message=_("Another student has this email address."),
            ),
        ]
        indexes = [models.Index(fields=["family_name", "given_name", "id"], name="student_by_name")]

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding and kwargs.get("update_fields") is None:
            fields = [field for field in self._meta.concrete_fields if not field.primary_key]
            kwargs["update_fields"] = [field.name for field in fields if field.name != "has_holds"]
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        return " ".join(filter(None, (self.student_number, self.given_name, self.family_name)))

    @property
    def sorted_name(self) -> str:
        """The name as lists show it: ``Byron, Ada``, or the only name of a person with one name."""
        return ", ".join(filter(None, (self.family_name, self.given_name)))
