"""Admin of API clients, their scopes and their tokens."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from oauth2_provider.models import get_access_token_model
from unfold.admin import ModelAdmin, TabularInline

from school.access.api_client_revocation import reactivate, revoke, revoke_tokens


class LiveTokensInline(TabularInline):
    """The tokens of a client that have not expired. Deleting one revokes it."""

    model = get_access_token_model()
    fields = ["created", "expires", "scope"]
    readonly_fields = ["created", "expires", "scope"]
    extra = 0
    max_num = 0
    verbose_name = _("valid token")
    verbose_name_plural = _("valid tokens: delete a token to revoke it; this takes effect within one minute")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(expires__gt=timezone.now()).order_by("-expires")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ClientForm(forms.ModelForm):
    def clean_scope(self) -> str:
        scopes = self.cleaned_data["scope"].split()
        unknown = [each for each in scopes if each not in settings.SCOPES]
        if unknown:
            message = _("Unknown scope: %(unknown)s.") % {"unknown": ", ".join(unknown)}
            raise forms.ValidationError(message, code="unknown_scope")
        return " ".join(scopes)


class ClientAdmin(ModelAdmin):
    """
    Shows a client's scopes, limits, last use and tokens.

    New clients are created by ``create_api_client``, which shows the secret once.
    """

    form = ClientForm
    actions = ["revoke_tokens"]
    list_display = ["name", "client_id", "is_limited", "last_used_at", "live_tokens", "is_active"]
    list_filter = ["is_limited", "last_used_at"]
    list_select_related = ["user"]
    search_fields = ["name", "client_id"]
    ordering = ["name"]
    fields = ["name", "client_id", "user", "scope", "is_limited", "terms", "courses", "last_used_at", "created"]
    readonly_fields = ["client_id", "user", "last_used_at", "created"]
    autocomplete_fields = ["terms", "courses"]
    inlines = [LiveTokensInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        urls = [
            path("<id:pk>/revoke/", view(self.revoke), name="school_apiclient_revoke"),
            path("<id:pk>/admit/", view(require_POST(self.reactivate)), name="school_apiclient_admit"),
        ]
        return [*urls, *super().get_urls()]

    def revoke(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show a page that asks for confirmation; by POST, revoke the client, which takes effect within a minute."""
        client = self._get_changeable(request, pk)
        if request.method == "POST":
            revoke(client)
            messages.success(
                request,
                gettext("Access of %(client)s is revoked. This takes effect within one minute.") % {"client": client},
            )
            return HttpResponseRedirect(reverse("admin:access"))
        title = gettext("Revoke %(client)s") % {"client": client}
        context = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "original": client}
        return render(request, "school/revoke_client.html", {**context, "client": client})

    def reactivate(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Activate a revoked client again."""
        client = self._get_changeable(request, pk)
        reactivate(client)
        messages.success(request, gettext("Access of %(client)s is restored.") % {"client": client})
        return HttpResponseRedirect(reverse("admin:access"))

    def _get_changeable(self, request: HttpRequest, pk: int) -> Any:
        client = self.get_object(request, str(pk))
        if client is None:
            raise Http404
        if not self.has_change_permission(request, client):
            raise PermissionDenied
        return client

    @admin.display(description=_("active"), boolean=True)
    def is_active(self, client: Any) -> bool:
        return client.user is not None and client.user.is_active

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        is_live = Q(accesstoken__expires__gt=timezone.now())
        return super().get_queryset(request).annotate(alive=Count("accesstoken", filter=is_live))

    @admin.display(description=_("valid tokens"), ordering="alive")
    def live_tokens(self, client: Any) -> int:
        return int(client.alive)

    @admin.action(description=_("Revoke all tokens"), permissions=["change"])
    def revoke_tokens(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        revoke_tokens(queryset)
