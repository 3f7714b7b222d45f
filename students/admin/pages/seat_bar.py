"""The bar that shows how the seats of a course are taken."""

from dataclasses import dataclass

from students.seats import Seats


@dataclass(frozen=True, slots=True)
class BarSegment:
    """A segment of the bar. Positions and lengths are text, so that they are not localized with a decimal comma."""

    kind: str  # "taken", "over", "free" or "waiting"
    start: str
    length: str


@dataclass(frozen=True, slots=True)
class SeatBar:
    seats: Seats
    segments: list[BarSegment]


def seat_bar(seats: Seats) -> SeatBar:
    """Return the bar: seats taken within the capacity, over it, free seats, and then the waitlist."""
    lengths = {
        "taken": seats.taken - seats.over,
        "over": seats.over,
        "free": seats.free or 0,
        "waiting": seats.waiting,
    }
    total = sum(lengths.values()) or 1
    segments, start = [], 0
    for kind, length in lengths.items():
        if length:
            segments.append(BarSegment(kind, f"{start / total:.2%}", f"{length / total:.2%}"))
        start += length
    return SeatBar(seats, segments)
