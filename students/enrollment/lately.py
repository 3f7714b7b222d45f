"""What was found out about courses a moment ago, by this process."""

from time import monotonic

REMEMBERED = 5.0  # seconds
MOST = 10_000  # courses


class Lately:
    """Courses of which something was so a moment ago."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}

    def note(self, course_id: int) -> None:
        if len(self._until) >= MOST:
            self._until.clear()
        self._until[course_id] = monotonic() + REMEMBERED

    def has(self, course_id: int) -> bool:
        return self._until.get(course_id, 0) >= monotonic()
