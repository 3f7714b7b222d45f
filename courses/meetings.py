"""
The weekly meetings of a course, in JSON and as text, and the conflicts between them.

A meeting has a day of the week, two local times, of which the second one no longer belongs to it, and optionally its
first and last day and a place. In a file and in a form, meetings are written ``mon 10:00-11:30 R12; wed 10:00-11:30``,
and dates as in ``mon 10:00-11:30 2026-09-07..2026-10-12 R12``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from itertools import combinations, product
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.utils.dates import WEEKDAYS

from school.fields import ListField
from school.i18n.stored_messages import translatable as _
from school.text_normalization import normalized
from school.validators import in_our_times, plain_text

Meeting = dict[str, str | None]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_MEETINGS = 50
MAX_PLACE = 64
WEEK = 7  # days

# Times are compared as texts, and \d would match the digits of other scripts, too.
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# The parts of a meeting. ``clean_meetings`` checks each of them.
_TEXT = re.compile(
    r"(?P<day>\w+)\s+(?P<from>\d{1,2}:\d{2})\s*[-–]\s*(?P<to>\d{1,2}:\d{2})"
    r"(?:\s+(?P<starts_on>\d{4}-\d{2}-\d{2})?\.\.(?P<ends_on>\d{4}-\d{2}-\d{2})?)?(?:\s+(?P<place>.+))?"
)
_DATES = re.compile(r"\S*\.\.\S*")  # a text that would be read as dates


class Conflict(NamedTuple):
    """The day of the week and the times at which two courses meet."""

    day: str
    start: str
    end: str

    def __str__(self) -> str:
        return f"{WEEKDAYS[DAYS.index(self.day)]} {self.start}-{self.end}"


class MeetingsField(ListField):
    """A list of meetings."""

    def parse_cell(self, text: str) -> list[Meeting]:
        """Return the value for the text of a cell; raise ``ValidationError``."""
        return parse_meetings(text)


def clean_meetings(values: Any) -> list[Meeting]:
    """
    Return meetings in their stored form, by day and time. Raise ``ValidationError`` with every reason.

    A missing date is None, and a missing place an empty text.
    """
    if not isinstance(values, list):
        raise ValidationError(_("Give a list of meetings."), code="not_a_list")
    if len(values) > MAX_MEETINGS:
        message = _("A course has at most %(number)s meetings in a week.")
        raise ValidationError(message, code="max_length", params={"number": MAX_MEETINGS})
    errors: list[ValidationError] = []
    meetings: list[Meeting] = []
    for value in values:
        try:
            meetings.append(_clean_meeting(value))
        except ValidationError as error:
            errors += error.error_list
    for first, second in combinations(meetings, 2):
        if conflict := _conflict(first, second, (None, None), (None, None)):
            message = _("Two meetings of the course overlap: %(time)s.") % {"time": str(conflict)}
            errors.append(ValidationError(message, code="meetings_overlap"))
            break
    if errors:
        raise ValidationError(errors)
    return sorted(meetings, key=_sort_key)


def parse_meetings(text: str) -> list[Meeting]:
    """Return the meetings of a text; raise ``ValidationError``."""
    values = []
    for part in re.split(r"[;\r\n]", text):
        if not (part := normalized(part)):
            continue
        match = _TEXT.fullmatch(part)
        if match is None:
            message = _("%(text)s is not a meeting. Write it as in %(example)s.")
            parts = {"text": part, "example": "mon 10:00-11:30 R12; wed 10:00-11:30"}
            raise ValidationError(message % parts, code="invalid_meeting")
        value = {name: each or None for name, each in match.groupdict().items()}
        values.append(
            {
                **value,
                "day": str(value["day"]).lower(),
                "from": str(value["from"]).zfill(5),
                "to": str(value["to"]).zfill(5),
                "place": value["place"] or "",
            }
        )
    return clean_meetings(values)


def format_meetings(meetings: Iterable[Mapping[str, Any]]) -> str:
    """Return the text that ``parse_meetings`` reads as these meetings."""
    return "; ".join(map(_format_meeting, meetings))


def meeting_conflict(first: Any, second: Any) -> Conflict | None:
    """
    Return the first time at which two courses meet, None if there is none.

    Meetings without dates take place in the whole term of their course. There must be a day on which both take place.
    """
    for one, other in product(first.meetings, second.meetings):
        if conflict := _conflict(one, other, _term_dates(first), _term_dates(second)):
            return conflict
    return None


def _clean_meeting(value: Any) -> Meeting:
    known = ("day", "from", "to", "starts_on", "ends_on", "place")
    if not isinstance(value, dict) or not {"day", "from", "to"} <= value.keys() <= set(known):
        message = _("A meeting is an object with %(names)s.") % {"names": ", ".join(known)}
        raise ValidationError(message, code="invalid_meeting")
    if value["day"] not in DAYS:
        message = _("%(day)s is not a day of the week. Days: %(days)s.")
        parts = {"day": str(value["day"]), "days": ", ".join(DAYS)}
        raise ValidationError(message % parts, code="invalid_choice")
    for name in ("from", "to"):
        if not isinstance(value[name], str) or not _TIME.fullmatch(value[name]):
            message = _("%(time)s is not a time. Write it as in %(example)s.")
            raise ValidationError(message % {"time": str(value[name]), "example": "09:30"}, code="invalid_time")
    if value["to"] <= value["from"]:
        message = _("A meeting cannot end before it starts: %(time)s.")
        raise ValidationError(message % {"time": f"{value['from']}-{value['to']}"}, code="times_reversed")
    dates = {name: _clean_date(value.get(name)) for name in ("starts_on", "ends_on")}
    if dates["starts_on"] and dates["ends_on"] and dates["ends_on"] < dates["starts_on"]:
        raise ValidationError(_("The last day of a meeting is before the first one."), code="dates_reversed")
    place = value.get("place", "")
    if not isinstance(place, str):
        raise ValidationError(_("The place of a meeting is a text."), code="invalid")
    place = normalized(place)
    plain_text(place)
    if len(place) > MAX_PLACE or re.search(r"[;\r\n]", place) or _DATES.fullmatch(place.partition(" ")[0]):
        message = _("A place has at most %(number)s characters, no semicolon, and does not begin with dates.")
        raise ValidationError(message, code="invalid_place", params={"number": MAX_PLACE})
    return {"day": value["day"], "from": value["from"], "to": value["to"], **dates, "place": place}


def _clean_date(value: Any) -> str | None:
    if value is None:
        return None
    try:
        if not isinstance(value, str) or not _DATE.fullmatch(value):
            raise ValueError
        day = date.fromisoformat(value)
    except ValueError:
        message = _("%(date)s is not a date. Write it as in %(example)s.")
        parts = {"date": str(value), "example": "2026-09-01"}
        raise ValidationError(message % parts, code="invalid_date") from None
    in_our_times(day)
    return value


def _conflict(first: Meeting, second: Meeting, *terms: tuple[date | None, date | None]) -> Conflict | None:
    start, end = max(str(first["from"]), str(second["from"])), min(str(first["to"]), str(second["to"]))
    if first["day"] != second["day"] or start >= end:
        return None
    days = [day for meeting, term in zip((first, second), terms, strict=True) for day in [_dates(meeting, term)]]
    first_day, last_day = max(each[0] for each in days), min(each[1] for each in days)
    day = str(first["day"])
    ahead = (DAYS.index(day) - first_day.weekday()) % WEEK
    return Conflict(day, start, end) if (last_day - first_day).days >= ahead else None


def _dates(meeting: Meeting, term: tuple[date | None, date | None]) -> tuple[date, date]:
    """Return the first and the last day on which a meeting may take place."""
    starts_on, ends_on = meeting["starts_on"], meeting["ends_on"]
    first = date.fromisoformat(starts_on) if starts_on else term[0] or date.min
    last = date.fromisoformat(ends_on) if ends_on else term[1] or date.max
    return first, last


def _term_dates(course: Any) -> tuple[date | None, date | None]:
    return (course.term.starts_on, course.term.ends_on) if course.term else (None, None)


def _sort_key(meeting: Meeting) -> tuple[Any, ...]:
    return DAYS.index(str(meeting["day"])), meeting["from"], meeting["starts_on"] or "", meeting["place"]


def _format_meeting(meeting: Mapping[str, Any]) -> str:
    return " ".join(_words(meeting))


def _words(meeting: Mapping[str, Any]) -> Iterator[str]:
    yield meeting["day"]
    yield f"{meeting['from']}-{meeting['to']}"
    if meeting["starts_on"] or meeting["ends_on"]:
        yield f"{meeting['starts_on'] or ''}..{meeting['ends_on'] or ''}"
    if meeting["place"]:
        yield meeting["place"]
