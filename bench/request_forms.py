"""
The forms of all requests that are measured: reads of lists with different filters, orders, fields and callers, reads of
single rows, and writes.

A form is one combination of URL, parameters and caller. Its cost is compared with that of its plain form, which has no
parameters, and must not exceed a maximum ratio. Some forms also have a target relative to FastAPI. ``bench.cpu_time``
measures the forms in one process, ``bench.http`` measures them through the server.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bench.extra_rows import PAGE, SEATS, STEP, Ids, Rows, body

SINCE = "2020-01-01T00:00:00Z"
MAX_RATIO, MAX_RATIO_WITH_SESSION, MAX_RATIO_OF_ENROLLING = 2.0, 3.0, 1.5
BATCH = 100
NONE = Ids(1, 1)  # the range of ids for a path without placeholders
TWO_FILTERS = "level=introductory&ordering=-updated_at"


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a form relative to FastAPI's ``GET`` or ``POST``: the minimum rate and the maximum CPU time."""

    of: str
    rate: float
    cpu: float


PLAIN, GENERAL, SESSION = Target("GET", 2.5, 0.35), Target("GET", 2.0, 0.45), Target("GET", 1.2, 0.8)
ENROLL, REFUSE = Target("POST", 1.2, 0.65), Target("POST", 2.2, 0.4)


@dataclass(frozen=True, slots=True)
class Form:
    """
    A repeated request: ``{row}`` and ``{other}`` in its path and body are replaced by ids of ``rows`` and ``others``.

    ``plain`` is the title of its plain form ("" for a plain form), ``max_ratio`` the maximum cost relative to it. The
    body is repeated ``times`` as items of a batch. With ``seed_by_round``, the number of the round alone is the seed of
    its ids.
    """

    title: str
    path: str
    plain: str = ""
    caller: str = "client"
    max_ratio: float | None = MAX_RATIO
    target: Target | None = GENERAL
    method: str = "GET"
    body: str = ""
    times: int = 1
    rows: Ids = NONE
    others: Ids = NONE
    seed_by_round: bool = False
    status: int = 200


def forms(rows: Rows) -> Iterator[Form]:
    """Yield the forms, each after its plain form."""
    yield from _lists(rows)
    yield from _feed(rows)
    yield from _single(rows)
    yield from _enrolling(rows)
    yield from _changing(rows)


def _lists(rows: Rows) -> Iterator[Form]:
    shape = ["status=all", f"updated_since={SINCE}", "fields=id,status", "expand=student"]
    of_term = [f"term={rows.term}", f"{TWO_FILTERS}&term={rows.term}"]
    lists: dict[str, tuple[Ids, Target, list[str]]] = {
        "students/{row}/courses": (rows.students, PLAIN, [*shape, "level=introductory", *of_term]),
        "courses/{row}/students": (rows.rosters, PLAIN, [*shape, "search=a", "ordering=family_name"]),
        "enrollments": (NONE, PLAIN, [*shape, "level=introductory", *of_term, f"student={rows.student}"]),
        f"enrollments/{rows.enrollment}/events": (NONE, PLAIN, []),
        "students": (NONE, GENERAL, [*shape[1:2], "search=a", "is_active=true", "ordering=family_name", "fields=id"]),
        "courses": (NONE, GENERAL, [f"term={rows.term}", "has_seats=true", "search=a", "ordering=code", "fields=id"]),
        "terms": (NONE, GENERAL, ["ordering=code", "fields=code"]),
        "imports": (NONE, GENERAL, ["kind=enrollments", "ordering=created_at"]),
    }
    for path, (ids, target, queries) in lists.items():
        title = title_of(path)
        plain = Form(title, f"{path}?page_size={PAGE}", rows=ids, target=target)
        yield plain
        for query in queries:
            yield replace(plain, title=title_of(path, query), path=f"{plain.path}&{query}", plain=title, target=GENERAL)
        yield from _for_callers(plain)
        if of_term[1] in queries:
            two = replace(plain, title=title_of(path, of_term[1]), path=f"{plain.path}&{of_term[1]}")
            yield from _for_callers(two, plain=title)
    for path, pages in rows.cursors.items():
        for name, cursor in pages.items():
            address = f"{path}?page_size={PAGE}&cursor={cursor}"
            yield Form(
                f"{title_of(path)}, {name} page", address, title_of(path if path in lists else "courses/{row}/students")
            )


def _for_callers(form: Form, plain: str = "") -> Iterator[Form]:
    plain = plain or form.title
    limited = PLAIN if form.path.startswith("changes") else GENERAL
    yield replace(form, title=f"{form.title}, limited client", plain=plain, caller="limited", target=limited)
    staff = replace(form, caller="staff", max_ratio=MAX_RATIO_WITH_SESSION, target=SESSION)
    yield replace(staff, title=f"{form.title}, session", plain=plain)


def _feed(rows: Rows) -> Iterator[Form]:
    first = Form(title_of("changes"), f"changes?limit={PAGE}", target=PLAIN)
    yield first
    behind = replace(
        first, title=f"{first.title}, from a cursor", path=f"{first.path}&after={rows.middle}", plain=first.title
    )
    yield behind
    yield from _for_callers(behind, first.title)
    of_all_kinds = f"{behind.path}&kinds=enrollments,students,courses,terms"
    yield replace(behind, title=f"{behind.title}, all kinds", path=of_all_kinds, max_ratio=None, target=None)


def _single(rows: Rows) -> Iterator[Form]:
    """Yield the forms of reads of single rows. Each kind of row has its own plain form, because their costs differ."""
    running = Ids(rows.rosters.first, 1)
    single = {
        "students/{row}": (rows.students, ["fields=id"]),
        "courses/{row}": (rows.rosters, ["fields=id"]),
        f"terms/{rows.term_id}": (NONE, []),
        f"enrollments/{rows.enrollment}": (running, ["expand=course", "fields=id"]),
        f"students/{rows.leavers.first}/courses/{rows.dropping.first}": (NONE, []),
    }
    for path, (ids, queries) in single.items():
        plain = Form(title_of(path), path, rows=ids, target=PLAIN)
        yield plain
        for query in queries:
            yield replace(plain, title=title_of(path, query), path=f"{path}?{query}", plain=plain.title, target=GENERAL)
        of_term = (
            replace(plain, rows=NONE, path=f"students/{rows.leavers.first}") if path == "students/{row}" else plain
        )
        yield from _for_callers(of_term)


def _enrolling(rows: Rows) -> Iterator[Form]:
    path = "students/{row}/courses"
    plain = Form(
        f"POST {title_of(path)[4:]}", path, method="POST", body=body(course_id="{other}"), target=ENROLL, status=201,
        rows=rows.students, others=rows.free,
    )  # fmt: skip
    waived = body(course_id="{other}", waive=["course_full"], reason="Bench")
    forms_: dict[str, dict[str, Any]] = {
        "by code and term": {
            "body": body(course_code="FREE-{other}", term=rows.term),
            "others": Ids(0, rows.free.count),
        },
        "limited client": {"caller": "limited"},
        "with a waiver": {"body": waived, "others": rows.full},
        "onto a waitlist": {"body": body(course_id="{other}", on_full="waitlist"), "others": rows.waitlists},
        "session": {"caller": "staff", "max_ratio": MAX_RATIO_WITH_SESSION, "target": None},
    }
    yield plain
    form = replace(plain, plain=plain.title, max_ratio=MAX_RATIO_OF_ENROLLING)
    for name, differing in forms_.items():
        yield replace(form, title=f"{plain.title}, {name}", **differing)
    others = Ids(rows.students.first + SEATS, rows.students.count - SEATS)
    refused = replace(form, rows=others, others=Ids(rows.sold_out, 1), status=409, target=REFUSE)
    yield replace(refused, title=f"{plain.title}, refused: full")


def _changing(rows: Rows) -> Iterator[Form]:
    """Yield the forms of changes. They have no target, because FastAPI has no comparable request."""
    path = "students/{row}/courses/{other}"
    leaving = Form("", path, max_ratio=None, target=None, rows=rows.leavers, seed_by_round=True)
    yield replace(leaving, title=f"DELETE {title_of(path)[4:]}", method="DELETE", others=rows.dropping, status=204)
    complete = body(status="completed", grade="A")
    yield replace(leaving, title=f"PATCH {title_of(path)[4:]}", method="PATCH", body=complete, others=rows.completing)
    item = body(action="enroll", student_id="{row}", course_id="{other}")
    batch = Form(f"POST enrollments/batch of {BATCH}", "enrollments/batch", max_ratio=None, target=None)
    yield replace(batch, method="POST", body=item, times=BATCH, rows=rows.students, others=rows.free)


def title_of(path: str, query: str = "") -> str:
    """Return the title of a read, with placeholders for ids."""
    parts = ["{id}" if part[0] in "{0123456789" else part for part in path.split("/")]
    return f"GET {'/'.join(parts)}{query and f'?{query}'}"


def first_request(form: Form) -> tuple[str, str]:
    """Return the path and the body of the first request of a form."""
    items = [_with_ids(form.body, form, place) for place in range(form.times)]
    return _with_ids(form.path, form, 0), items[0] if form.times == 1 else f'{{"items":[{",".join(items)}]}}'


def _with_ids(text: str, form: Form, place: int) -> str:
    row = form.rows.first + place % form.rows.count
    other = form.others.first + place * STEP % form.others.count
    return text.replace("{row}", str(row)).replace("{other}", str(other))
