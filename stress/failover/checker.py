"""
Compares the histories of all clients with the journal after the run.

No acknowledged act may be lost, nothing may be in the journal that no client has asked for, no seat may be given twice,
and the change feed must be the journal.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg

from stress.failover.followers import SentImport
from stress.failover.history import Act, History, Outcome, Pair

ASKED = ("enroll", "drop")  # the actions that clients ask for; promotions follow from them
OPEN = ("enrolled", "waitlisted")
EVENTS = """
    SELECT event.id, enrollment.id, enrollment.student_id, enrollment.course_id, event.action, event.channel,
           event.from_status, event.to_status, event.request_id, event.file_import_id
    FROM students_enrollmentevent AS event JOIN students_studentcourse AS enrollment ON enrollment.id = enrollment_id
    WHERE event.id > %s ORDER BY event.id
"""


class Event(NamedTuple):
    id: int
    enrollment_id: int
    student_id: int
    course_id: int
    action: str
    channel: str
    from_status: str
    to_status: str
    request_id: str
    import_id: int | None

    @property
    def pair(self) -> Pair:
        return self.student_id, self.course_id


@dataclass(frozen=True)
class Journal:
    """
    The entries of a journal in their order, the seats of courses by id, and the ids of courses and students by code.

    ``open`` has the student and the course of each open enrollment.
    """

    events: Sequence[Event]
    capacities: Mapping[int, int | None]
    courses: Mapping[str, int]
    students: Mapping[str, int]
    open: Collection[Pair]


def read_journal(url: str, *, after: int = 0) -> Journal:
    """Read the journal of a database after an entry."""
    open_rows = "SELECT student_id, course_id FROM students_studentcourse WHERE status = ANY(%s)"
    with psycopg.connect(url) as direct:
        return Journal(
            events=[Event(*row) for row in direct.execute(EVENTS, [after])],
            capacities=dict(direct.execute("SELECT id, capacity FROM courses_course").fetchall()),
            courses=dict(direct.execute("SELECT code, id FROM courses_course").fetchall()),
            students=dict(direct.execute("SELECT student_number, id FROM students_student").fetchall()),
            open=set(direct.execute(open_rows, [list(OPEN)]).fetchall()),
        )


def check_histories(journal: Journal, histories: Iterable[History]) -> list[str]:
    """Return a sentence for each act that is lost, and for each change that no client has asked for."""
    found: list[str] = []
    unexpected: dict[str, Any] = {}
    asked: dict[Pair, list[Act]] = {}
    not_applied: set[str] = set()
    for history in histories:
        unexpected = history.unexpected | unexpected
        asked |= history.acts  # every pair belongs to one client
        not_applied |= set(history.not_applied)
    by_pair: dict[Pair, list[Event]] = defaultdict(list)
    for event in journal.events:
        if event.channel == "api" and event.action in ASKED:
            by_pair[event.pair].append(event)
        if event.request_id in not_applied:
            found.append(
                f"Entry {event.id} is of request {event.request_id}, whose answer says that it was not applied."
            )
    for pair in sorted(asked.keys() | by_pair.keys()):
        found += _check_pair(pair, asked.get(pair, []), by_pair[pair], is_open=pair in journal.open)
    return [*found, *(f"{answer}, the first time with {content}" for answer, content in unexpected.items())]


def _check_pair(pair: Pair, acts: Sequence[Act], events: Sequence[Event], *, is_open: bool) -> list[str]:
    """Compare the acts of one student in one course with the journal."""
    found = []
    title = "Student {} in course {}".format(*pair)
    written = {(event.action, event.request_id) for event in events}
    done = [act for act in acts if act.outcome is Outcome.DONE]
    found += [
        f"{title}: {act.action} was acknowledged and is lost (request {act.request_id})."
        for act in done
        if (act.action, act.request_id) not in written
    ]
    # A repetition may have made the change itself, if the attempt before it has not.
    possible = Counter(act.action for act in acts if act.outcome in (Outcome.UNKNOWN, Outcome.REPEATED))
    acknowledged = {act.request_id for act in done}
    unasked = Counter(event.action for event in events if event.request_id not in acknowledged)
    found += [
        f"{title}: {count} times {action} is in the journal without an acknowledgment, and at most "
        f"{possible[action]} may have been made."
        for action, count in unasked.items()
        if count > possible[action]
    ]
    enrollments = {event.enrollment_id for event in events}
    found += [
        f"{title}: enrollment {act.enrollment_id} was answered and is lost."
        for act in acts
        if act.enrollment_id is not None and act.enrollment_id not in enrollments
    ]
    definite = [act for act in acts if act.outcome is not Outcome.REFUSED]
    if definite and definite[-1].outcome is not Outcome.UNKNOWN and is_open != (definite[-1].action == "enroll"):
        found.append(f"{title}: {definite[-1].action} was the last answer, and the enrollment says otherwise.")
    return found


def check_seats(journal: Journal) -> list[str]:
    """Return a sentence for each journal entry after which a course has more students than seats."""
    found, taken = [], Counter[int]()
    for event in journal.events:
        taken[event.course_id] += (event.to_status == "enrolled") - (event.from_status == "enrolled")
        capacity = journal.capacities[event.course_id]
        if capacity is not None and taken[event.course_id] > capacity and event.to_status == "enrolled":
            found.append(f"Entry {event.id} gives a seat of course {event.course_id}, which has only {capacity}.")
    return found


def check_feed(journal: Journal, read: Sequence[int]) -> list[str]:
    """Return a sentence if the entries that the feed's reader got are not those of the journal, in its order."""
    written = [event.id for event in journal.events]
    if list(read) == written:
        return []
    twice, missed, phantom = len(read) - len(set(read)), set(written) - set(read), set(read) - set(written)
    return [
        f"The feed's reader missed {len(missed)} of {len(written):,} entries, got {twice} twice, and got "
        f"{len(phantom)} that are not in the journal; or the order differs."
    ]


def check_imports(journal: Journal, imports: Sequence[SentImport]) -> list[str]:
    """Return a sentence for each import that has not ended well, or whose rows are not enrolled exactly once."""
    found = []
    by_course: dict[int, list[Event]] = defaultdict(list)
    for event in journal.events:
        by_course[event.course_id].append(event)
    for job in imports:
        if job.state != "done":
            found.append(f"Import {job.import_id} is {job.state}: {job.counts}.")
        expected = sorted(journal.students[number] for number in job.student_numbers)
        enrolled = sorted(event.student_id for event in by_course[journal.courses[job.course_code]])
        if job.state == "done" and enrolled != expected:
            found.append(f"Import {job.import_id} has {len(enrolled)} entries for {len(expected)} rows.")
    return found
