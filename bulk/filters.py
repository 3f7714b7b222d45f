"""The filters of the list of imports."""

from django_filters import rest_framework as filters

from bulk.models import Import, State


class ImportFilter(filters.FilterSet):
    state = filters.ChoiceFilter(choices=State.choices)

    class Meta:
        model = Import
        fields = ["kind", "dataset"]
