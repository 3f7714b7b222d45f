"""Filters of the list of imports in the API."""

from django_filters import rest_framework as filters

from bulk.models import Import, State
from school.api.filters import StrictFilterSet


class ImportFilter(StrictFilterSet):
    state = filters.ChoiceFilter(choices=State.choices)

    class Meta:
        model = Import
        fields = ["kind", "dataset"]
