"""
The ids of the standard, ``sourcedId``: version 5 UUIDs of the keys of School's rows.

The key contains the identifier of the school, so that two schools have no id in common, and no name, email or number.
"""

from uuid import UUID, uuid5

from django.conf import settings

NAMESPACE = UUID("6f1b5c3e-2b0d-5e0c-9a53-0f6f0d1c7a11")


def org_id() -> UUID:
    return _id("org")


def term_id(term: int | None) -> UUID:
    """Return the id of a term, or of the session of the courses without a term."""
    return _id(f"term/{term or ''}")


def grading_period_id(term: int | None) -> UUID:
    return _id(f"gradingPeriod/{term or ''}")


def school_year_id(year: str) -> UUID:
    return _id(f"schoolYear/{year}")


def course_code_id(code: str) -> UUID:
    return _id(f"course/{code}")


def class_id(course: int) -> UUID:
    return _id(f"class/{course}")


def student_id(student: int) -> UUID:
    return _id(f"student/{student}")


def account_id(account: int) -> UUID:
    return _id(f"account/{account}")


def role_id(user: str) -> UUID:
    """Return the id of a user's role, which is an object of its own in CSV files only."""
    return _id(f"role/{user}")


def enrollment_id(user: UUID, clazz: UUID) -> UUID:
    """Return the id of the enrollment of a user in a class, however often the user enrolls in it."""
    return _id(f"enrollment/{user}/{clazz}")


def parse(text: str) -> UUID | None:
    """Return the id that a text is; None if the text is none, or another spelling of one."""
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    return parsed if str(parsed) == text else None


def _id(key: str) -> UUID:
    return uuid5(NAMESPACE, f"{settings.ONEROSTER_ORG_IDENTIFIER}/{key}")
