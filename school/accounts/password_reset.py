"""
The reset of a forgotten password, by a link in a mail to the address of the account.

It exists only with EMAIL_HOST. The answer to a request is the same whether there is an account or not, also in the time
that it takes: the mail is sent in another thread. Mails are limited by network address and by account.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views
from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.models import User
from django.core.mail import EmailMessage
from django.db import NotSupportedError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from school.http.client_ip import client_address
from school.http.rate_counter import count

MAILS_PER_ADDRESS, MAILS_PER_ACCOUNT = 5, 1  # in a minute

logger = structlog.get_logger(__name__)
mail_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")


def seconds_until_allowed(key: str, quota: int) -> int:
    """Count a request for a mail; return 0, or the seconds to wait if it exceeds the quota."""
    try:
        taken, seconds_left = count(key, quota)
    except (OperationalError, NotSupportedError):  # on a full disk or a standby, where there is nothing to reset either
        return 0
    return max(math.ceil(seconds_left), 1) if taken is None else 0


def password_reset_link(request: HttpRequest) -> dict[str, bool]:
    """A context processor: tells the login pages whether passwords can be reset."""
    return {"offers_password_reset": bool(settings.EMAIL_HOST)}


class StaffPasswordResetForm(PasswordResetForm):
    """Sends the link to the staff users with the address, if they have a password: others use another login."""

    def get_users(self, email: str) -> Any:
        return [user for user in super().get_users(email) if user.is_staff]

    def send_mail(
        self,
        subject_template_name: str,
        email_template_name: str,
        context: dict[str, Any],
        from_email: str | None,
        to_email: str,
        html_email_template_name: str | None = None,
    ) -> None:
        user = context["user"]
        if seconds_until_allowed(f"reset-account:{user.pk}", MAILS_PER_ACCOUNT):
            return
        subject = render_to_string(subject_template_name, context).strip()
        message = EmailMessage(subject, render_to_string(email_template_name, context), from_email, [to_email])
        mail_thread.submit(_send, message, user.pk)


def _send(message: EmailMessage, user_id: int) -> None:
    try:
        message.send()
    except OSError as error:  # also the errors of SMTP
        logger.error("mail_failed", user_id=user_id, exc_info=error)
    else:
        logger.info("password_reset_sent", user_id=user_id)


class PasswordResetMixin:
    """The look of the pages; 404 without EMAIL_HOST."""

    title: Any = gettext_lazy("Reset password")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not settings.EMAIL_HOST:
            raise Http404
        return super().dispatch(request, *args, **kwargs)  # type: ignore[misc]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        return {**admin.site.each_context(self.request), **context, "title": self.title}  # type: ignore[attr-defined]


class PasswordResetView(PasswordResetMixin, views.PasswordResetView):
    form_class = StaffPasswordResetForm
    template_name = "school/password_reset/form.html"
    email_template_name = "school/password_reset/mail.txt"
    subject_template_name = "school/password_reset/subject.txt"
    success_url = reverse_lazy("password_reset_done")

    def form_valid(self, form: Any) -> HttpResponse:
        if seconds := seconds_until_allowed(f"reset:{client_address(self.request)}", MAILS_PER_ADDRESS):
            form.add_error(None, _("Too many requests from this network address. Try again in a minute."))
            response = self.render_to_response(self.get_context_data(form=form), status=429)
            response["Retry-After"] = str(seconds)
            return response
        return super().form_valid(form)


class PasswordResetDoneView(PasswordResetMixin, views.PasswordResetDoneView):
    template_name = "school/password_reset/done.html"


class PasswordResetConfirmView(PasswordResetMixin, views.PasswordResetConfirmView):
    template_name = "school/password_reset/confirm.html"
    success_url = reverse_lazy("password_reset_complete")

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        user: User = form.user
        logger.info("password_reset", user_id=user.pk)
        return response


class PasswordResetCompleteView(PasswordResetMixin, views.PasswordResetCompleteView):
    template_name = "school/password_reset/complete.html"
