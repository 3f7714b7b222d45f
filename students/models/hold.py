"""Holds: reasons why a student may not enroll, set by an office until it releases them."""

from collections.abc import Collection
from datetime import date
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from bulk.models import Import
from courses.models import Term
from school.db.constraints import ConstraintErrorsByField
from school.fields import NormalizedCharField
from school.validators import identifier, in_our_times, plain_text
from students.models.student import Student


class HoldQuerySet(models.QuerySet["Hold"]):
    def open(self) -> Self:
        """Return the holds that nobody has released, also those whose time has not begun or is over."""
        return self.filter(released_at=None)

    def open_by_student(self, student_ids: Collection[int]) -> dict[int, list["Hold"]]:
        """Return the open holds of students by student, in one query. Without students there is no query."""
        holds: dict[int, list[Hold]] = {}
        for hold in self.open().filter(student__pk__any_of=list(student_ids)) if student_ids else ():
            holds.setdefault(hold.student_id, []).append(hold)
        return holds


class Hold(ConstraintErrorsByField):
    """
    A hold on a student, for courses of one term or for all.

    It applies from ``starts_on`` until ``ends_on``, both inclusive, until it is released. A row does not change except
    by its release: a hold with other dates or another reason is a new one. ``students.holds`` writes this model.
    """

    reason_to_keep_target = _("Holds refer to this object, and they are kept as history. It cannot be deleted.")

    student = models.ForeignKey(Student, on_delete=models.PROTECT, related_name="holds", verbose_name=_("student"))
    code = NormalizedCharField(
        _("code"), max_length=32, validators=[identifier], help_text=_("The kind of hold. Refusals name it.")
    )
    reason = NormalizedCharField(
        _("reason"), max_length=500, blank=True, validators=[plain_text], help_text=_("Refusals do not show it.")
    )
    starts_on = models.DateField(
        _("from"), null=True, blank=True, validators=[in_our_times], help_text=_("Empty: at once.")
    )
    ends_on = models.DateField(
        _("until"), null=True, blank=True, validators=[in_our_times], help_text=_("Empty: until it is released.")
    )
    term = models.ForeignKey(
        Term,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("term"),
        help_text=_("Empty: all courses."),
    )
    placed_at = models.DateTimeField(_("placed at"), default=timezone.now)
    placed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("placed by"),
    )
    placed_import = models.ForeignKey(
        Import, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("placed by import")
    )
    released_at = models.DateTimeField(_("released at"), null=True, blank=True)
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("released by"),
    )
    released_import = models.ForeignKey(
        Import, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("released by import")
    )

    objects = HoldQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        default_permissions = ("add", "change", "view")
        constraints = [
            models.UniqueConstraint(
                fields=["student", "code", "term"],
                name="hold_is_open_once_in_term",
                condition=Q(released_at=None),
                violation_error_code="unique",
                violation_error_message=_("The student has this hold already."),
            ),
            models.UniqueConstraint(
                fields=["student", "code"],
                name="hold_is_open_once",
                condition=Q(released_at=None, term=None),
                violation_error_code="unique",
                violation_error_message=_("The student has this hold already."),
            ),
            models.CheckConstraint(
                name="hold_ends_after_it_starts",
                condition=Q(ends_on__gte=F("starts_on")),
                violation_error_code="dates_reversed",
                violation_error_message=_("A hold cannot end before it starts."),
            ),
            models.CheckConstraint(
                name="hold_is_released_at_a_time",
                condition=Q(released_at__isnull=False) | Q(released_by=None, released_import=None),
                violation_error_message=_("Only a hold that has been released was released by somebody."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.student} · {self.code}"

    def applies_to(self, term_id: int | None, today: date) -> bool:
        """Return True if the hold concerns courses of a term today. A released hold is not considered."""
        return (
            self.term_id in (None, term_id)
            and (self.starts_on is None or self.starts_on <= today)
            and (self.ends_on is None or today <= self.ends_on)
        )
