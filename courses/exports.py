"""The exports of terms, grades and courses."""

from bulk.exports import Export
from courses.meetings import format_meetings
from courses.prerequisite_items import format_items
from school.fields import format_credits

TERMS = Export(
    "terms",
    {
        "term": "code",
        "name": "name",
        "starts_on": "starts_on",
        "ends_on": "ends_on",
        "drop_deadline": "drop_deadline",
        "census_on": "census_on",
        "max_credits": "max_credits",
    },
    formats={"max_credits": format_credits},
)
GRADES = Export("grades", {"grade": "code", "passes": "passes", "rank": "rank"})
COURSES = Export(
    "courses",
    {
        "course_code": "code",
        "term": "term__code",
        "section": "section",
        "name": "name",
        "level": "level",
        "capacity": "capacity",
        "waitlist_capacity": "waitlist_capacity",
        "enrollment_opens_at": "enrollment_opens_at",
        "enrollment_closes_at": "enrollment_closes_at",
        "prerequisites": "prerequisites",
        "credits": "credits",
        "meetings": "meetings",
        "corequisites": "corequisites",
        "is_active": "is_active",
    },
    formats={
        "prerequisites": format_items,
        "corequisites": format_items,
        "credits": format_credits,
        "meetings": format_meetings,
    },
)
