"""The filters of the lists of courses and terms."""

from django_filters import rest_framework as filters

from courses.models import Course, Level, Term
from school.api.filters import ChangedSince, TrueOrFalse
from school.validators import BIGGEST_COUNT


class TermFilter(filters.FilterSet):
    running_on = filters.DateFilter(method="is_running", help_text="Terms that have begun and not ended on this day.")
    updated_since = ChangedSince()

    class Meta:
        model = Term
        fields = ["code"]

    def is_running(self, queryset, name, day):  # type: ignore[no-untyped-def]
        return queryset.filter(starts_on__lte=day, ends_on__gte=day)


class CourseFilter(filters.FilterSet):
    term = filters.CharFilter("term__code", help_text="The code of a term.")
    level = filters.ChoiceFilter(choices=Level.choices)
    is_active = TrueOrFalse()
    capacity = filters.NumberFilter(min_value=0, max_value=BIGGEST_COUNT, decimal_places=0)
    updated_since = ChangedSince()

    class Meta:
        model = Course
        fields = ["code"]
