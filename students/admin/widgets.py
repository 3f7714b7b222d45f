"""
Autocomplete fields for students and courses.

Their forms can be shown again with invalid values.
"""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple
from django.utils.translation import gettext_lazy

from school.identifiers import parse_ids

MAX_PICKED = 20  # maximum number of rows in one field


def _ids(values: Any) -> list[Any]:
    return [each for each in values or () if parse_ids(str(each))]


class IdSelect(AutocompleteSelect):
    """Django's autocomplete widget, which ignores submitted values that are not ids instead of looking them up."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        return super().optgroups(name, _ids(value), attr)


class IdSelectMultiple(AutocompleteSelectMultiple):
    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        return super().optgroups(name, _ids(value)[:MAX_PICKED], attr)


class AutocompleteMultipleField(forms.ModelMultipleChoiceField):
    """A choice of several rows of a model. Values that are not ids are ignored."""

    default_error_messages = {"too_many": gettext_lazy("Select at most %(most)s. Paste the others as text.")}

    def clean(self, value: Any) -> Any:
        ids = _ids(value)
        if len(ids) > MAX_PICKED:
            raise forms.ValidationError(self.error_messages["too_many"], "too_many", {"most": MAX_PICKED})
        return super().clean(ids)
