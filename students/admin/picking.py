"""Students and courses picked by typing, in forms that are shown again whatever was sent."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple

from school.validators import parse_ids


def _ids(values: Any) -> list[Any]:
    return [each for each in values or () if parse_ids(str(each))]


class IdSelect(AutocompleteSelect):
    """Django's, which looks up the sent values as they are."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        return super().optgroups(name, _ids(value), attr)


class IdSelectMultiple(AutocompleteSelectMultiple):
    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        return super().optgroups(name, _ids(value), attr)


class PickedField(forms.ModelMultipleChoiceField):
    """Several rows of a model. What cannot be an id is nobody's."""

    def clean(self, value: Any) -> Any:
        return super().clean(_ids(value))
