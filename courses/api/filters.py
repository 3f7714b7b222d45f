"""The filters of the lists of courses and terms."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from courses.models import Course, Level, Term
from school.api.filters import (
    CountFilter,
    DayFilter,
    HistoryUpdatedSinceFilter,
    StrictBooleanFilter,
    StrictFilterSet,
    TextFilter,
)


class RunningOn(DayFilter):
    """Selects the terms that run on a given day: they have begun and not ended."""

    def filter(self, qs: Any, value: Any) -> QuerySet[Any]:
        return qs.filter(starts_on__lte=value, ends_on__gte=value) if value else qs


class TermFilter(StrictFilterSet):
    running_on = RunningOn("starts_on", help_text="Terms that include this date.")
    updated_since = HistoryUpdatedSinceFilter()

    class Meta:
        model = Term
        fields = ["code"]


class CourseFilter(StrictFilterSet):
    term = TextFilter("term__code", help_text="The code of a term.")
    level = filters.ChoiceFilter(choices=Level.choices)
    is_active = StrictBooleanFilter()
    capacity = CountFilter()
    updated_since = HistoryUpdatedSinceFilter()

    class Meta:
        model = Course
        fields = ["code"]
