"""
Changes enrollments: enroll, complete, drop, promote, adopt, undo.

No other package writes enrollments or the journal.
"""

from students.enrollment.cancellation import (
    cancel_course,
    is_cancelled,
    preview_cancellation,
    preview_undo,
    undo_cancellation,
)
from students.enrollment.service import (
    adopt,
    complete,
    complete_many,
    drop,
    drop_many,
    dry_run,
    enroll,
    enroll_many,
    execute,
    execute_atomic,
    execute_if_unchanged,
    lock_to_deactivate,
    lock_waitlisted_courses,
    preview_commands,
    preview_promotions,
    preview_releases,
    promote,
    promote_by_grades,
    promote_in_changed_courses,
    promote_in_terms,
    undo,
    undo_batch,
    undo_many,
)

__all__ = [
    "adopt",
    "cancel_course",
    "complete",
    "complete_many",
    "drop",
    "drop_many",
    "dry_run",
    "enroll",
    "enroll_many",
    "execute",
    "execute_atomic",
    "execute_if_unchanged",
    "is_cancelled",
    "lock_to_deactivate",
    "lock_waitlisted_courses",
    "preview_cancellation",
    "preview_commands",
    "preview_promotions",
    "preview_releases",
    "preview_undo",
    "promote",
    "promote_by_grades",
    "promote_in_changed_courses",
    "promote_in_terms",
    "undo",
    "undo_batch",
    "undo_cancellation",
    "undo_many",
]
