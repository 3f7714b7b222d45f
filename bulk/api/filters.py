"""Filters of the list of imports in the API."""

from django.conf import settings
from django_filters import rest_framework as filters

from bulk.models import UNDO, ZIP, Import, State
from school.api.filters import StrictFilterSet


class ImportFilter(StrictFilterSet):
    kind = filters.ChoiceFilter(choices=[(kind, kind) for kind in (*settings.IMPORT_KINDS, ZIP, UNDO)])
    state = filters.ChoiceFilter(choices=State.choices)

    class Meta:
        model = Import
        fields = ["dataset"]
