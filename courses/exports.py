"""The exports of terms and of courses."""

from bulk.exports import Export

TERMS = Export(
    "terms",
    {
        "term": "code",
        "name": "name",
        "starts_on": "starts_on",
        "ends_on": "ends_on",
        "drop_deadline": "drop_deadline",
    },
)
COURSES = Export(
    "courses",
    {
        "course_code": "code",
        "term": "term__code",
        "name": "name",
        "level": "level",
        "capacity": "capacity",
        "waitlist_capacity": "waitlist_capacity",
        "enrollment_opens_at": "enrollment_opens_at",
        "enrollment_closes_at": "enrollment_closes_at",
        "prerequisites": "prerequisites",
        "is_active": "is_active",
    },
)
