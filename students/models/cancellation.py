"""The cancellation of a course."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from courses.models import Course
from students.models.event import Channel


class CourseCancellation(models.Model):
    """
    The cancellation of a course, and its undo if ``undone_at`` is set.

    Its journal entries have the same time and request id. ``was_active`` says whether the course was active before.
    """

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="cancellations", verbose_name=_("course"))
    at = models.DateTimeField(_("at"))
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("actor"),
    )
    channel = models.CharField(_("channel"), max_length=16, choices=Channel)
    reason = models.TextField(_("reason"))
    request_id = models.CharField(_("request id"), max_length=64, blank=True)
    was_active = models.BooleanField(default=True)
    undone_at = models.DateTimeField(_("undone at"), null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("undone by"),
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("cancellation of a course")
        verbose_name_plural = _("cancellations of courses")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                name="course_is_cancelled_once",
                fields=["course"],
                condition=Q(undone_at__isnull=True),
                violation_error_code="unique",
                violation_error_message=_("This course is cancelled already."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.course} · {self.at}"
