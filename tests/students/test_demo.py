"""Demo data: its size, its journal and its plausible distribution over days."""

from collections import Counter
from datetime import UTC, date, datetime

import pytest

from courses.models import Course, Term
from students.admin.dashboard.statistics import daily_counts
from students.demo import BEGINNING, DEADLINE, OPENING, Size, make_demo
from students.events.journal import replay, replayable_snapshot
from students.models import EnrollmentEvent, Student, StudentCourse

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


SMALL = Size(60, 24, 400)


def make(now, size):
    make_demo(size, now=now, log=lambda line: None)
    return Term.objects.latest("starts_on")


@pytest.mark.parametrize("now", [NOW, datetime(2026, 7, 1, 0, 30, tzinfo=UTC), datetime(2026, 7, 9, tzinfo=UTC)])
def test_demo_data_has_the_requested_size_and_a_complete_ordered_past_journal(now):
    make(now, SMALL)

    rows = StudentCourse.objects.all()
    assert (Student.objects.count(), Course.objects.count(), rows.count()) == (60, 24, 400)
    assert [row.pk for row in rows if replay(row.events.order_by("pk")) != replayable_snapshot(row)] == []
    for row in rows:
        at = [event.at for event in row.events.order_by("pk")]
        assert at == sorted(at)
    assert EnrollmentEvent.objects.filter(at__gt=now).count() == 0


def test_past_terms_have_no_open_enrollments_and_the_current_term_has():
    term = make(NOW, SMALL)

    past = StudentCourse.objects.exclude(course__term=term)
    running = StudentCourse.objects.filter(course__term=term)
    assert set(past.values_list("status", flat=True)) == {"completed", "dropped", "withdrawn"}
    assert set(running.values_list("status", flat=True)) == {"enrolled", "waitlisted", "dropped", "withdrawn"}


def test_enrollments_peak_at_opening_dip_on_weekends_and_drops_spread_over_weeks():
    term = make(NOW, Size(1_000, 40, 3_200))
    days = daily_counts(term, date(2026, 11, 26))

    first = days[0].day
    came = Counter({day.day: day.enrolled for day in days})
    left_by_deadline = [day for day in days if day.left and day.day <= term.starts_on + DEADLINE]
    workdays = [day for day in came if day.weekday() < 5 and day <= term.starts_on + BEGINNING]
    weekend = [came[day] for day in came if day.weekday() >= 5 and day <= term.starts_on]
    assert first == term.starts_on + OPENING
    assert came.most_common(1)[0][0] == first
    assert max(weekend) < came[term.starts_on] < came[first]
    assert len(left_by_deadline) > 20
    assert any(day.left for day in days if day.day > term.starts_on + DEADLINE)
    assert [day for day in workdays if not came[day]] == []


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        (Size(1, 3, 1), "at least 4 courses"),
        (Size(0, 4, 0), "at least 4 courses and a student"),
        (Size(1, 4, 5), "not so many pairs"),
        (Size(2, 5, 10), "too few courses for so many"),
    ],
)
def test_an_impossible_size_is_refused(size, reason):
    with pytest.raises(ValueError, match=reason):
        make(NOW, size)


def test_the_journal_is_in_the_order_of_time():
    make(NOW, SMALL)

    times = list(EnrollmentEvent.objects.order_by("pk").values_list("at", flat=True))
    assert times == sorted(times)
