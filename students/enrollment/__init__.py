"""
Changes enrollments: enroll, complete, drop, promote, adopt, undo.

No other package writes enrollments or the journal.
"""

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
    promote,
    undo,
    undo_batch,
    undo_many,
)

__all__ = [
    "adopt",
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
    "lock_to_deactivate",
    "lock_waitlisted_courses",
    "preview_commands",
    "preview_promotions",
    "promote",
    "undo",
    "undo_batch",
    "undo_many",
]
