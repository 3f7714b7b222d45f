"""Who gets a seat that is free: strictly first come, first served, and only who may still take it."""

from collections.abc import Iterator

from students.acts import Act
from students.models import Action, StudentCourse
from students.register import Register
from students.rules import Verdict, verdict


def next_in_line(course_id: int, register: Register) -> Iterator[tuple[StudentCourse, Verdict]]:
    """
    Go along a course's line while it has a seat, and yield who is next with the verdict of the rules on it.

    Who asks seats whom nothing stands against, and the others are passed over. A waiver that let somebody join the
    line holds until they have their seat: that is what it was given for.
    """
    for waiter in list(register.lines.get(course_id, ())):
        if not register.has_seat(course_id):
            return
        pair = waiter.student_id, course_id
        act = Act(Action.PROMOTE, *pair, waive=register.waived_for.get(pair, frozenset()))
        yield waiter, verdict(act, register)
