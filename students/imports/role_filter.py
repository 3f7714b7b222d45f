"""Finds the rows of Canvas and OneRoster files that are not about students, so that only students are imported."""

import re
from collections.abc import Mapping

from school.i18n.stored_messages import translatable as _

STUDENT_ROLES = {"student", "studentenrollment"}


def has_other_role(cells: Mapping[str, str]) -> bool:
    """Return True if the column ``role`` names roles, and none of them is that of a student."""
    roles = {role.strip().lower() for role in re.split("[,;|]", cells.get("role", "")) if role.strip()}
    return bool(roles) and not roles & STUDENT_ROLES


def not_a_student(cells: Mapping[str, str]) -> str:
    """Return the reason why a row is not about a student, by its columns ``role`` and ``role_id``; empty if it is."""
    if has_other_role(cells):
        return _("The role %(role)s is not student.") % {"role": cells["role"]}
    if not cells.get("role") and cells.get("role_id"):
        return _("The role with the id %(id)s is unknown. Add a column role.") % {"id": cells["role_id"]}
    return ""
