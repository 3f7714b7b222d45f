"""The examples in the OpenAPI document."""

from typing import Any

STUDENT: dict[str, Any] = {
    "id": 7,
    "student_number": "S-1042",
    "given_name": "Ada",
    "family_name": "Byron",
    "email": "ada@example.edu",
    "max_credits": None,
    "is_active": True,
}
# Request bodies use keys that the demo data does not have, so that they can be sent as they are.
STUDENT_REQUEST = {
    "student_number": "S-9001",
    "given_name": "Grace",
    "family_name": "Murray",
    "email": "murray@example.edu",
    "is_active": True,
}
STUDENT_REPLACEMENT = {name: value for name, value in STUDENT.items() if name not in ("id", "max_credits")}
STUDENT_CHANGE = {"email": "byron@example.edu"}
STUDENT_SUMMARY = {name: STUDENT[name] for name in ("id", "student_number", "given_name", "family_name")}
HOLD_REQUEST: dict[str, Any] = {
    "code": "LIBRARY",
    "until": "2030-12-31",
}
HOLD: dict[str, Any] = {
    "id": 1,
    **HOLD_REQUEST,
    "reason": "Overdue",
    "term": None,
    "from": None,
    "placed_at": "2026-08-20T09:15:00.518204Z",
    "placed_by": "client:library",
    "released_at": None,
    "released_by": None,
}
COURSE_SUMMARY: dict[str, Any] = {
    "id": 5,
    "code": "MATH-101",
    "name": "Calculus I",
    "level": "introductory",
    "term": "2026F",
    "section": "",
}
COURSE: dict[str, Any] = {
    **COURSE_SUMMARY,
    "capacity": 30,
    "waitlist_capacity": 5,
    "enrollment_opens_at": "2026-08-01T08:00:00Z",
    "enrollment_closes_at": None,
    "is_active": True,
    "prerequisites": ["MATH-100"],
    "credits": None,
    "meetings": [],
    "corequisites": [],
    "seats": {"taken": 29, "free": 1, "waiting": 0, "over": 0},
    "warnings": [],
}
COURSE_REPLACEMENT = {
    **{name: value for name, value in COURSE.items() if name not in ("id", "corequisites", "seats", "warnings")},
    "prerequisites": [],
}
COURSE_REQUEST = {**COURSE_REPLACEMENT, "code": "MATH-150", "prerequisites": ["MATH-101"]}
COURSE_CHANGE = {"capacity": 40}
ENROLLMENT: dict[str, Any] = {
    "id": 9001,
    "student": STUDENT_SUMMARY,
    "course": COURSE_SUMMARY,
    "status": "enrolled",
    "waitlist_position": None,
    "instead_of": None,
    "enrolled_on": "2026-09-01",
    "ended_on": None,
    "grade": "",
    "version": 1,
    "created_at": "2026-08-20T09:15:00.518204Z",
    "updated_at": "2026-08-20T09:15:00.518204Z",
}
EVENT: dict[str, Any] = {
    "id": 120001,
    "action": "enroll",
    "at": "2026-08-20T09:15:00.518204Z",
    "actor": "client:portal",
    "channel": "api",
    "from_status": "",
    "to_status": "enrolled",
    "changes": {"enrolled_on": [None, "2026-09-01"]},
    "reason": "",
    "waived": [],
    "refusals": [],
    "request_id": "5d7e0d6c-5a64-4a11-9d4c-1f0b7f6f2c01",
}
CHANGES: dict[str, Any] = {
    "cursor": "120001:-G-UcmKhOWbdtAxHe19yD52ZINreB4jjNtCCbVzUBqI",
    "has_more": False,
    "results": [{"enrollment": 9001, "student": STUDENT_SUMMARY, "course": COURSE_SUMMARY, **EVENT}],
}
ENROLL = {"course_code": "MATH-101", "term": "2026F", "on_full": "waitlist"}
COMPLETE = {"status": "completed", "grade": "A-"}
BATCH = {
    "items": [
        {"action": "enroll", "student_number": "S-1042", "course_code": "MATH-101", "term": "2026F"},
        {"action": "drop", "student_id": 8, "course_id": 5, "reason": "moved"},
    ],
    "atomic": False,
}
OUTCOMES: list[dict[str, Any]] = [
    {"index": 0, "status": "created", "code": None, "message": "", "errors": [], "enrollment": ENROLLMENT},
    {
        "index": 1,
        "status": "not_found",
        "code": "not_enrolled",
        "message": "This student was never enrolled in MATH-101.",
        "errors": [{"code": "not_enrolled", "field": None, "message": "This student was never enrolled in MATH-101."}],
        "enrollment": None,
    },
]
NOTHING_APPLIED: dict[str, Any] = {
    "type": "/problems/nothing_applied",
    "title": "Nothing applied",
    "status": 422,
    "detail": "No item of the batch was applied. See the outcome of each item.",
    "code": "nothing_applied",
    "errors": [
        {
            "code": "nothing_applied",
            "field": None,
            "message": "No item of the batch was applied. See the outcome of each item.",
        }
    ],
    "request_id": "8a1f6c1e-6a0b-4f0e-9a53-0c7f3a2b9d11",
    "outcomes": [{**OUTCOMES[1], "index": 0}],
}
