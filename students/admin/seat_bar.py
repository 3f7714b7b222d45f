"""How a course's seats are taken, as a bar."""

from dataclasses import dataclass

from students.seats import Seats


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the bar. Places and lengths are text, so that no language writes them with a comma."""

    kind: str  # "taken", "over", "free" or "waiting"
    start: str
    length: str


@dataclass(frozen=True, slots=True)
class SeatBar:
    seats: Seats
    parts: list[Part]


def seat_bar(seats: Seats) -> SeatBar:
    """Lay out who is within the capacity, who is over it, what is free, and behind that who waits."""
    lengths = {
        "taken": seats.taken - seats.over,
        "over": seats.over,
        "free": seats.free or 0,
        "waiting": seats.waiting,
    }
    whole = sum(lengths.values()) or 1
    parts, start = [], 0
    for kind, length in lengths.items():
        if length:
            parts.append(Part(kind, f"{start / whole:.2%}", f"{length / whole:.2%}"))
        start += length
    return SeatBar(seats, parts)
