"""
Optimistic locking in the admin: a form is not saved if its row has changed since the page was loaded.

A page contains a digest of each value that its form was made from. Saving locks the row and compares the digests with
its current values. If one differs, the form shows an error with the changed fields and their current values, keeps the
user's input, and contains the digests of the current values, so that the next save succeeds. A form without changes
saves nothing and causes no error: a second click on *Save* is not a conflict.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.formats import localize
from django.utils.text import capfirst
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from simple_history.models import to_historic

from school.refusals import version_conflict

MAX_NEW_ROWS = 5  # the maximum number of new inline rows below a form
DIGEST_LENGTH = 16  # the length of a digest in characters, which is enough to avoid accidental collisions


def digest(value: Any) -> str:
    """Return the digest of a value. It is keyed, so that it reveals nothing about the value."""
    text = json.dumps(value, default=str)
    return salted_hmac("school.admin_site.stale_forms", text, algorithm="sha256").hexdigest()[:DIGEST_LENGTH]


def parse_digests(text: str) -> dict[str, str]:
    return dict(each.rpartition(":")[::2] for each in text.split())


def format_value(field: Any, value: Any) -> str:
    """Return the value of a form field as text for the user."""
    if value is None or value == "" or value == []:
        return _("empty")
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(field, forms.ModelChoiceField):
        choices: Any = field.queryset
        keys = [getattr(each, "pk", each) for each in (value if isinstance(value, list) else [value])]
        return ", ".join(sorted(str(field.label_from_instance(row)) for row in choices.filter(pk__in=keys)))
    if isinstance(value, date):
        return str(localize(localtime(value) if isinstance(value, datetime) else value))
    labels, value = dict(getattr(field, "choices", ())), field.prepare_value(value)
    return ", ".join(str(labels.get(each, each)) for each in (value if isinstance(value, list) else [value]))


class StaleCheckForm(forms.ModelForm):
    """A form for an existing row that detects changes of the row since the page was loaded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row: Model | None = self.instance
        # The form that restores an earlier version shows that version, and replaces the current row. So it has nothing
        # to compare.
        self.is_earlier_version = to_historic(row) is not None
        values = self.initial
        if self.is_earlier_version:
            row = type(self.instance)._base_manager.filter(pk=self.instance.pk).first()
            values = forms.model_to_dict(row, list(self.fields)) if row else {}
        self.current_values = {name: values.get(name) for name, field in self.fields.items() if not field.disabled}

    @property
    def as_read(self) -> str:
        """The digests of the row's current values, which the page contains."""
        return " ".join(f"{name}:{self._digest(name)}" for name in self.current_values)

    def clean(self) -> dict[str, Any]:
        if "as_read" in self.data and (self.is_earlier_version or self.has_changed()):
            changed = list(self._changed_since(parse_digests(self.data["as_read"])))
            if changed:
                refusal = version_conflict()
                self.add_error(None, [ValidationError(text, refusal.code) for text in (refusal.message, *changed)])
        return super().clean() or self.cleaned_data

    def _changed_since(self, loaded_digests: dict[str, str]) -> Iterator[str]:
        for name, value in self.current_values.items():
            if loaded_digests.get(name) != self._digest(name):
                field = self.fields[name]
                label = field.label or forms.utils.pretty_name(name)
                yield _("%(field)s is now: %(value)s") % {"field": label, "value": format_value(field, value)}

    def _digest(self, name: str) -> str:
        value = self.fields[name].prepare_value(self.current_values[name])
        return digest([name, sorted(value) if isinstance(value, list) else value])


class BoundedFormSet(forms.BaseInlineFormSet):
    """The inline rows of a form: the existing ones, and at most ``MAX_NEW_ROWS`` new ones."""

    @property
    def absolute_max(self) -> int:  # type: ignore[override]  # Django reads it and never sets it
        return len(self.get_queryset()) + MAX_NEW_ROWS

    @property
    def max_num(self) -> int:  # type: ignore[override]
        return min(int(super().max_num), self.absolute_max)


class StaleCheckFormSet(BoundedFormSet):
    """The inline rows that can be changed together with a form. A change of any of them is a conflict."""

    @property
    def as_read(self) -> str:
        rows = self.get_queryset()
        return digest([[getattr(row, field.attname) for field in row._meta.concrete_fields] for row in rows])

    def clean(self) -> None:
        super().clean()
        loaded_digest = self.data.get(f"{self.prefix}-as_read")
        if loaded_digest is not None and loaded_digest != self.as_read and self.has_changed():
            refusal = version_conflict()
            now = {
                "field": capfirst(self.get_queryset().model._meta.verbose_name_plural),
                "value": ", ".join(map(str, self.get_queryset())) or _("empty"),
            }
            texts = (refusal.message, _("%(field)s is now: %(value)s") % now)
            raise ValidationError([ValidationError(text, refusal.code) for text in texts])


class StaleFormCheck(admin.ModelAdmin):
    """Admin mixin that checks every form that changes a row. ``SchoolAdminSite`` adds it to every registered admin."""

    change_form_before_template = "school/form_digests.html"

    def lock_row(self, row: Model) -> None:
        """Lock a row that is about to be changed."""
        same = self.model._base_manager.filter(pk=row.pk)
        list(same.select_for_update(no_key=True).values_list("pk"))

    @contextmanager
    def _locked_to_save(self, request: HttpRequest, object_id: str | None) -> Iterator[None]:
        """Lock the row before the form is built until it is saved. Only POST requests lock it."""
        if request.method != "POST" or object_id is None:
            yield
            return
        with transaction.atomic():
            row = self.get_object(request, unquote(object_id))
            if row is not None:
                self.lock_row(row)
            yield

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any) -> Any:
        with self._locked_to_save(request, object_id):
            return super().changeform_view(request, object_id, *args, **kwargs)

    def history_form_view(self, request: HttpRequest, object_id: str, version_id: str, **kwargs: Any) -> Any:
        with self._locked_to_save(request, object_id):
            return super().history_form_view(request, object_id, version_id, **kwargs)  # type: ignore[misc]  # of simple_history

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        row = context["original"]
        if row is not None and context["errors"]:
            # Validation has assigned the user's input to the row, but the page around the form must show the stored
            # values.
            row.refresh_from_db()
            context["subtitle"] = str(row)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        if obj is None or not self.has_change_permission(request, obj):
            return form
        return type(form.__name__, (StaleCheckForm, form), {"__module__": form.__module__})

    def get_formsets_with_inlines(self, request: HttpRequest, obj: Any = None) -> Iterator[Any]:
        for formset, inline in super().get_formsets_with_inlines(request, obj):
            is_checked = obj is not None and inline.has_change_permission(request, obj)
            bases = (StaleCheckFormSet if is_checked else BoundedFormSet, formset)
            yield type(formset.__name__, bases, {"__module__": formset.__module__}), inline
