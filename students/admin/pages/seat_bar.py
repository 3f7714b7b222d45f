"""The bar that shows how the seats of a course are taken."""

from dataclasses import dataclass

from students.seats import Seats


@dataclass(frozen=True, slots=True)
class SeatBar:
    """
    The bar is the capacity, so a course without a limit has none: ``length`` is then empty.

    ``length`` is the share of the capacity that is taken, as text, so that it is not localized with a decimal comma.
    """

    seats: Seats
    length: str = ""


def seat_bar(seats: Seats) -> SeatBar:
    """Return the bar of a course. Over the capacity, all of the bar is taken."""
    if seats.capacity is None:
        return SeatBar(seats)
    return SeatBar(seats, f"{min(seats.taken / seats.capacity, 1) if seats.capacity else 1:.2%}")
