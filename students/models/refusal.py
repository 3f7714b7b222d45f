"""The log of recent refusals, with their reasons."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from courses.models import Course
from students.models.event import Action, Channel
from students.models.student import Student


class RefusedActQuerySet(models.QuerySet["RefusedAct"]):
    def for_reason(self, code: str) -> Self:
        """Return the refusals that have this code among their reasons."""
        at_an_end = Q(codes=code) | Q(codes__startswith=f"{code} ") | Q(codes__endswith=f" {code}")
        return self.filter(at_an_end | Q(codes__contains=f" {code} "))


class RefusedAct(models.Model):
    """
    The last refusal of a student in a course on a day.

    ``codes`` has the codes of all reasons, separated by blanks. This log is for staff, and not part of the enrollment
    records. ``students.enrollment.refusal_log`` writes it a short time after the refusal, and ``apply_retention``
    deletes old rows.
    """

    day = models.DateField(_("day"))
    at = models.DateTimeField(_("at"), default=timezone.now)
    student = models.ForeignKey(Student, on_delete=models.CASCADE, related_name="+", verbose_name=_("student"))
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="+", verbose_name=_("course"))
    action = models.CharField(_("action"), max_length=16, choices=Action)
    channel = models.CharField(_("channel"), max_length=16, choices=Channel)
    codes = models.CharField(_("reasons"), max_length=255)

    objects = RefusedActQuerySet.as_manager()

    class Meta:
        ordering = ["-day", "-at", "-id"]
        verbose_name = _("refusal")
        verbose_name_plural = _("refusals")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(name="refused_act_is_one_a_day", fields=["day", "student", "course"]),
        ]

    def __str__(self) -> str:
        return f"{self.student} · {self.course}"
