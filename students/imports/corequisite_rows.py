"""Enrolls students in courses that require each other, in whatever order a file has them."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from students.enrollment import execute_atomic
from students.enrollment.actor_context import ActorContext
from students.enrollment.outcomes import Outcome
from students.enrollment.rules import corequisites_are_taken


def retry_corequisites(outcomes: list[Outcome], actor: ActorContext) -> bool:
    """
    Try the enrollments of each student again, together, that were refused only because corequisites are missing.

    Replace the outcomes of those that are decided otherwise now. Return True if enrollments were tried: then the seat
    counts that the caller has read before may be wrong. There is no query for a student with a single row.
    """
    places_by_student = _places_to_retry(outcomes)
    for retried in places_by_student.values():
        places = retried
        while places:
            tried = execute_atomic([outcomes[place].command for place in places], actor)
            accepted = [place for place, outcome in zip(places, tried, strict=True) if outcome.accepted]
            is_done = accepted == places
            for place, outcome in zip(places, tried, strict=True):
                if is_done or not outcome.accepted:
                    outcomes[place] = outcome
            places = [] if is_done else accepted
    return bool(places_by_student)


def _places_to_retry(outcomes: list[Outcome]) -> dict[int, list[int]]:
    """Return the places of the outcomes to retry by the ids of the students."""
    found = dict(_refused_by_corequisites(outcomes))
    row_counts = Counter(outcome.command.student_id for outcome in outcomes) if found else {}
    places: dict[int, list[int]] = defaultdict(list)
    for place, student_id in found.items():
        if row_counts[student_id] > 1:
            places[student_id].append(place)
    return places


def _refused_by_corequisites(outcomes: list[Outcome]) -> Iterator[tuple[int, int]]:
    for place, outcome in enumerate(outcomes):
        if outcome.refusals and all(each.code == corequisites_are_taken.code for each in outcome.refusals):
            yield place, outcome.command.student_id
