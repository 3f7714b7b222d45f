"""Students."""

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from courses.models import Course
from school.validators import identifier


class Student(models.Model):
    student_number = models.CharField(
        _("student number"),
        max_length=64,
        unique=True,
        validators=[identifier],
        help_text=_("Text: leading zeros are kept."),
    )
    given_name = models.CharField(_("given name"), max_length=150)
    family_name = models.CharField(_("family name"), max_length=150)
    email = models.EmailField(_("email"), blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    # Since when the student is known by a pseudonym only. For good: a constraint keeps names out.
    erased_at = models.DateTimeField(_("erased at"), null=True, blank=True, editable=False)
    courses: "models.ManyToManyField[Course, Any]" = models.ManyToManyField(
        Course, through="StudentCourse", related_name="students", verbose_name=_("courses")
    )

    history = HistoricalRecords(excluded_fields=["erased_at"])

    class Meta:
        ordering = ["family_name", "given_name", "id"]
        verbose_name = _("student")
        verbose_name_plural = _("students")
        permissions = [
            ("export_personal_data", "Can export all that is held on a student"),
            ("erase_student", "Can erase the personal data of a student"),
        ]
        constraints = [
            models.CheckConstraint(
                name="student_is_nobody_once_erased",
                condition=Q(erased_at__isnull=True) | Q(given_name="", family_name="", email="", is_active=False),
                violation_error_code="erased",
                violation_error_message=_("The data of this student was erased, and cannot be given again."),
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

    def __str__(self) -> str:
        return f"{self.student_number} {self.given_name} {self.family_name}".rstrip()
