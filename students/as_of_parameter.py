"""The parameter ``as_of`` of lists and exports: the instant that a date, an instant or a census day means."""

from datetime import UTC, date, datetime, time, timedelta

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from courses.models import Term
from school.api.date_and_number_parsing import parse_day, parse_instant
from school.validators import in_our_times
from students.events.as_of import check_kept

CENSUS_PREFIX = "census:"


def parse_as_of(text: str, terms: QuerySet[Term]) -> datetime:
    """
    Return the instant that a text means.

    It is an instant; a date, which means the end of that day in ``TIME_ZONE``; or ``census:2026F`` for the census day
    of one of ``terms``. The end of today is now. Raise ``ValidationError`` for any other text and for the future,
    ``Refused`` for a time before the journal begins.
    """
    now = timezone.now()
    if text.startswith(CENSUS_PREFIX):
        instant = _end_of(_census_day(text.removeprefix(CENSUS_PREFIX), terms), now)
    elif "T" in text.upper() or " " in text:
        instant = parse_instant(text)
        in_our_times(instant)
    else:
        instant = _end_of(parse_day(text), now)
    if instant > now:
        raise ValidationError(_("This time is in the future."), code="in_future")
    check_kept(instant)
    return instant


def _census_day(code: str, terms: QuerySet[Term]) -> date:
    term = terms.filter(code=code).first()
    if term is None:
        raise ValidationError(_("There is no term %(code)s.") % {"code": code}, code="term_not_found")
    if term.census_on is None:
        raise ValidationError(_("The term %(code)s has no census day.") % {"code": code}, code="no_census_day")
    return term.census_on


def _end_of(day: date, now: datetime) -> datetime:
    """Return the last instant of a day in ``TIME_ZONE``, or ``now`` if the day has not ended."""
    in_our_times(day)
    midnight = timezone.make_aware(datetime.combine(day + timedelta(days=1), time()))
    end = midnight.astimezone(UTC) - timedelta(microseconds=1)
    return min(end, now) if day <= timezone.localdate(now) else end
