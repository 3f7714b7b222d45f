"""The checker of the failovers finds every kind of difference between the histories of the clients and the journal."""

import pytest

from stress.failover.checker import Event, Journal, check_feed, check_histories, check_imports, check_seats
from stress.failover.clients import longest_gap
from stress.failover.followers import SentImport
from stress.failover.history import Act, History, Outcome

STUDENT, COURSE, ENROLLMENT = 1, 2, 3
DONE, REPEATED, REFUSED, UNKNOWN = Outcome.DONE, Outcome.REPEATED, Outcome.REFUSED, Outcome.UNKNOWN
LOST = "Student 1 in course 2: enroll was acknowledged and is lost (request a)."
UNASKED = (
    "Student 1 in course 2: 1 times {} is in the journal without an acknowledgment, and at most 0 may have been made."
)
OTHERWISE = "Student 1 in course 2: {} was the last answer, and the enrollment says otherwise."


def journal_of(*events, is_open=False):
    pairs = {(STUDENT, COURSE)} if is_open else set()
    return Journal(list(events), {COURSE: 1}, {"C": COURSE}, {"S": STUDENT}, pairs)


def event(number, action, request_id, *, before="", after="enrolled", channel="api", student=STUDENT):
    return Event(number, ENROLLMENT, student, COURSE, action, channel, before, after, request_id, None)


def enrolled(request_id="a", number=1):
    return event(number, "enroll", request_id)


def dropped(request_id="b", number=2):
    return event(number, "drop", request_id, before="enrolled", after="dropped")


def history(*acts):
    told = History()
    for action, outcome, request_id in acts:
        enrollment_id = ENROLLMENT if action == "enroll" and outcome in (DONE, REPEATED) else None
        told.record((STUDENT, COURSE), Act(action, outcome, request_id, enrollment_id))
    return told


ENROLLED, DROPPED = ("enroll", DONE, "a"), ("drop", DONE, "b")


@pytest.mark.parametrize(
    ("acts", "events", "is_open", "problems"),
    [
        ([ENROLLED], [enrolled()], True, []),
        ([ENROLLED, DROPPED], [enrolled(), dropped()], False, []),
        # The outcome of an attempt is unknown: it was made, or it was not.
        ([("enroll", UNKNOWN, ""), ("enroll", REPEATED, "c")], [enrolled()], True, []),
        ([("enroll", UNKNOWN, ""), ENROLLED], [enrolled()], True, []),
        ([("enroll", UNKNOWN, "")], [enrolled()], True, []),
        ([("enroll", UNKNOWN, "")], [], False, []),
        ([ENROLLED, ("drop", UNKNOWN, ""), ("drop", REPEATED, "c")], [enrolled(), dropped()], False, []),
        # Differences.
        ([ENROLLED, DROPPED], [dropped()], False, [LOST]),
        ([ENROLLED], [enrolled()], False, [OTHERWISE.format("enroll")]),
        ([ENROLLED], [enrolled(), dropped()], False, [UNASKED.format("drop"), OTHERWISE.format("enroll")]),
        ([ENROLLED], [enrolled(), enrolled("x", 2)], True, [UNASKED.format("enroll")]),
        ([], [enrolled()], True, [UNASKED.format("enroll")]),
        ([("enroll", REFUSED, "a")], [enrolled()], True, [UNASKED.format("enroll")]),
    ],
)
def test_each_act_is_compared_with_the_journal(acts, events, is_open, problems):
    assert check_histories(journal_of(*events, is_open=is_open), [history(*acts)]) == problems


def test_an_answer_that_nothing_was_applied_is_compared_too():
    told = history(("enroll", REFUSED, "a"), ("enroll", UNKNOWN, ""))
    told.not_applied.append("a")

    assert check_histories(journal_of(enrolled(), is_open=True), [told]) == [
        "Entry 1 is of request a, whose answer says that it was not applied."
    ]


def test_an_enrollment_that_was_answered_and_does_not_exist_is_lost():
    told = history(("enroll", UNKNOWN, ""), ("enroll", REPEATED, "c"))

    assert check_histories(journal_of(is_open=True), [told]) == [
        "Student 1 in course 2: enrollment 3 was answered and is lost."
    ]


def test_a_seat_that_is_given_twice_is_found():
    second = event(2, "enroll", "b", student=9)

    assert check_seats(journal_of(enrolled(), second)) == ["Entry 2 gives a seat of course 2, which has only 1."]
    assert check_seats(journal_of(enrolled(), dropped(), event(3, "enroll", "c", student=9))) == []


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        ([1], "missed 1 of 2 entries, got 0 twice, and got 0 that"),
        ([1, 2, 2], "missed 0 of 2 entries, got 1 twice, and got 0 that"),
        ([1, 2, 5], "missed 0 of 2 entries, got 0 twice, and got 1 that"),
        ([2, 1], "missed 0 of 2 entries, got 0 twice, and got 0 that"),
    ],
)
def test_the_feed_is_compared_with_the_journal(read, problem):
    journal = journal_of(enrolled(), dropped())

    assert check_feed(journal, [1, 2]) == []
    [found] = check_feed(journal, read)
    assert problem in found


def test_the_rows_of_an_import_are_enrolled_once():
    job = SentImport("C", ["S"], import_id=7, state="done", counts={"enrolled": 1})
    row = event(1, "enroll", "", channel="import")

    assert check_imports(journal_of(row), [job]) == []
    assert check_imports(journal_of(), [job]) == ["Import 7 has 0 entries for 1 rows."]
    job.state = "failed"
    assert check_imports(journal_of(row), [job]) == ["Import 7 is failed: {'enrolled': 1}."]


def test_the_longest_time_without_an_acknowledged_act_is_found():
    told = History()
    told.acknowledged_at += [1.0, 2.0, 7.0]

    assert longest_gap([told], 0.5, 8.0) == 5.0
    assert longest_gap([told], 2.5, 6.0) == 3.5
