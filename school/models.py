"""
Models: API clients, responses that are stored for retries, cached values, and the record of access to personal data.
"""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from oauth2_provider.models import AbstractApplication


class ApiClient(AbstractApplication):
    """
    A program that gets tokens by the client credentials grant (OAuth2), for at most the scopes that it was created
    with.

    ``user`` is its service account: the journal names it as the actor, and deactivating it stops the program.
    """

    scope = models.TextField(
        _("scope"), blank=True, help_text=_("The scopes that the client can request, separated by spaces.")
    )
    # This is stored and not derived from the two lists, because deleting the last term of a client must not make the
    # client unlimited.
    is_limited = models.BooleanField(
        _("limited"),
        default=False,
        help_text=_(
            "The client can only see and change data of these terms and courses. Without any, it has no access."
        ),
    )
    terms: "models.ManyToManyField[Any, Any]" = models.ManyToManyField(
        "courses.Term", blank=True, related_name="+", verbose_name=_("terms")
    )
    courses: "models.ManyToManyField[Any, Any]" = models.ManyToManyField(
        "courses.Course", blank=True, related_name="+", verbose_name=_("courses")
    )
    last_used_at = models.DateTimeField(
        _("last used"), null=True, blank=True, editable=False, help_text=_("To within a minute.")
    )

    class Meta(AbstractApplication.Meta):
        verbose_name = _("API client")
        verbose_name_plural = _("API clients")

    def is_usable(self, request: Any) -> bool:
        return self.user is not None and self.user.is_active


class CachedValue(models.Model):
    """A value in the cache that logins use, stored as JSON. The value is not valid after ``expires_at``."""

    key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.key


class KeptAnswer(models.Model):
    """The response to a request with an Idempotency-Key, returned again when the client repeats the request."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False, verbose_name=_("account")
    )
    key = models.CharField(_("key"), max_length=255)
    fingerprint = models.CharField(
        _("fingerprint"), max_length=64, help_text=_("The hash of the method, the path and the body.")
    )
    status = models.PositiveSmallIntegerField(_("status"))
    headers = models.JSONField(_("headers"), default=dict)
    content_type = models.CharField(_("content type"), max_length=100)
    body = models.TextField(_("body"), blank=True)
    at = models.DateTimeField(_("at"), db_index=True)

    class Meta:
        verbose_name = _("stored response")
        verbose_name_plural = _("stored responses")
        default_permissions = ()
        constraints = [models.UniqueConstraint(name="answer_is_kept_once", fields=["user", "key"])]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.status}"


class PersonalDataAccess(models.Model):
    """
    An entry of the record of access: an actor viewed, exported or erased personal data. Append-only.

    ``door`` is the entry point (API, admin or command). The entry refers to a student, the roster of a course or the
    file of an import; otherwise ``scope`` has the code of a term, or is empty for all students. A row that it refers
    to may have been deleted: its id stays.
    """

    class Action(models.TextChoices):
        VIEWED = "viewed", _("viewed")
        EXPORTED = "exported", _("exported")
        ERASED = "erased", _("erased")

    class Subject(models.TextChoices):
        STUDENT = "student", _("student")
        STUDENTS = "students", _("students")
        ROSTER = "roster", _("roster")
        IMPORT = "import", _("rows of an import")
        ENROLLMENTS = "enrollments", _("enrollments")

    class Door(models.TextChoices):
        API = "api", _("API")
        ADMIN = "admin", _("admin")
        COMMAND = "command", _("command")

    at = models.DateTimeField(_("at"), db_index=True)
    day = models.DateField(_("day"), null=True, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("actor"),
    )
    door = models.CharField(_("channel"), max_length=8, choices=Door)
    action = models.CharField(_("action"), max_length=8, choices=Action)
    subject = models.CharField(_("subject"), max_length=16, choices=Subject)
    student = models.ForeignKey(
        "students.Student",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("student"),
    )
    course = models.ForeignKey(
        "courses.Course",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("course"),
    )
    file_import = models.ForeignKey(
        "bulk.Import",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("import"),
    )
    scope = models.CharField(_("scope"), max_length=64, blank=True)
    reason = models.TextField(_("reason"), blank=True)
    request_id = models.CharField(_("request id"), max_length=64, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("access to personal data")
        verbose_name_plural = _("record of access to personal data")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                name="access_is_viewed_once_a_day", fields=["student", "actor", "day"], condition=Q(action="viewed")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor_id or '–'}: {self.action} {self.subject}"

    @property
    def about(self) -> str:
        """
        Identifies the student, course, import or scope that the entry is about.

        A record of access must not show names of persons.
        """
        if self.course_id:
            return self.course.full_code if self.course else str(self.course_id)
        return str(self.student_id or self.file_import_id or self.scope or "–")
