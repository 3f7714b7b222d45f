"""The bar that shows how the seats of a course are taken."""

from dataclasses import dataclass

from students.seats import Seats


@dataclass(frozen=True, slots=True)
class Part:
    """A segment of the bar. Positions and lengths are text, so that they are not localized with a decimal comma."""

    kind: str  # "taken", "over", "free" or "waiting"
    start: str
    length: str


@dataclass(frozen=True, slots=True)
class SeatBar:
    seats: Seats
    parts: list[Part]


def seat_bar(seats: Seats) -> SeatBar:
    """Return the bar: seats taken within the capacity, over it, free seats, and then the waitlist."""
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
