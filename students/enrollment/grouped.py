"""
Enrolling those who come at the same time in one transaction.

Who comes while others of this process are at work waits for their commit, and is taken along in the next transaction
with everybody else who came meanwhile. So the lock, the ways to the database and back and the commit are paid once for
all of them. Who comes alone waits for nobody.

Only what is simple is done so, act by act by the rules as ever, and nobody waits for a lock in company: whose course
somebody else is at work on is handed back and does it alone, as does everything else.
"""

from _thread import LockType, allocate_lock
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from school import metrics
from school.prepared import ON_POSTGRESQL
from students.acts import Act, Origin, Outcome
from students.enrollment.lately import Lately
from students.enrollment.ledger import Ledger
from students.facts import lock_and_read
from students.models import Action, Channel
from students.register import Register

MOST = 50  # acts in one transaction


@dataclass(slots=True, eq=False)
class Ticket:
    """An act whose thread waits at a gate until it is done, failed, handed back, or leads the next group."""

    act: Act
    origin: Origin
    gate: LockType = field(default_factory=allocate_lock)
    group: "Sequence[Ticket]" = ()  # of who leads it
    outcome: Outcome | None = None
    error: Exception | None = None


_apart = Lately()  # where an act was not simple: who asks for the course had better do so alone
_lock = allocate_lock()
_waiting: list[Ticket] = []
_is_at_work = False


def may_be_grouped(act: Act, origin: Origin) -> bool:
    """Tell whether an act may be tried in company: by a program, outside of any transaction."""
    is_simple = act.action == Action.ENROLL and not act.waive and act.expected is None
    if not ON_POSTGRESQL or not is_simple or origin.channel != Channel.API or connection.in_atomic_block:
        return False
    return not _apart.has(act.course_id)


def in_company(act: Act, origin: Origin) -> Outcome | None:
    """
    Do an act with those of others who come at the same time, and return what became of it once that is committed.

    None, and nothing done, where it has to be done by itself. Raise what the database raised where it was lost.
    """
    ticket = Ticket(act, origin)
    ticket.gate.acquire()
    if not _leads(ticket):
        ticket.gate.acquire()
    if ticket.group:
        done = [*ticket.group]
        try:
            done += _do(ticket.group)
        finally:
            _hand_over()
            for other in done:
                if other is not ticket:
                    other.gate.release()
    if ticket.error is not None:
        raise ticket.error
    return ticket.outcome


def _leads(ticket: Ticket) -> bool:
    """Tell whether nobody is at work: then the ticket is its own group. Else it waits."""
    global _is_at_work  # one for the process
    with _lock:
        if _is_at_work:
            _waiting.append(ticket)
            return False
        _is_at_work = True
        ticket.group = [ticket]
        return True


def _hand_over() -> None:
    """Let who has waited longest lead all who wait."""
    global _is_at_work
    with _lock:
        if not _waiting:
            _is_at_work = False
            return
        leader, group = _waiting[0], _waiting[:MOST]
        del _waiting[:MOST]
    leader.group = group
    leader.gate.release()


def _do(group: Sequence[Ticket]) -> list[Ticket]:
    """
    Do what can be done in company. All is handed back where the database had something against a part of it.

    Return those beside the group who have waited in vain for a database that was lost.
    """
    others: list[Ticket] = []
    used = None
    try:
        connection.ensure_connection()
        used = connection.connection
        done = _perform(group)
    except (DatabaseError, InterfaceError) as error:
        if used is None or connection.connection is not used:
            others = _take_waiting()
            _fail(group, error)
            _fail(others, OperationalError(*error.args))  # of them it is known that nothing was done
    except Exception as error:  # noqa: BLE001  # each thread raises it
        _fail(group, error)
    else:
        for ticket, outcome in done:
            ticket.outcome = outcome
    return others


@transaction.atomic
def _perform(group: Sequence[Ticket]) -> list[tuple[Ticket, Outcome]]:
    ledger = Ledger(Register(), group[0].origin)
    lock_and_read([ticket.act for ticket in group], ledger.register, ledger.origin, waiting=False)
    simple = []
    for ticket in group:
        ledger.origin = ticket.origin
        if ledger.is_simple(ticket.act):
            ledger.decide(ticket.act)
            simple.append(ticket)
        elif ticket.act.course_id in ledger.register.courses:
            _apart.note(ticket.act.course_id)
    ledger.write()
    transaction.on_commit(partial(metrics.count, *ledger.tally(done=True)))
    return list(zip(simple, ledger.outcomes, strict=True))


def _take_waiting() -> list[Ticket]:
    with _lock:
        waiting = list(_waiting)
        _waiting.clear()
    return waiting


def _fail(tickets: Sequence[Ticket], error: Exception) -> None:
    for ticket in tickets:
        ticket.error = copy(error)  # each thread raises its own
        ticket.error.__cause__ = error.__cause__
