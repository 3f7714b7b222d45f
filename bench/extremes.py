"""What must not cost more: the last page than the first, and a full course than one with seats."""

from statistics import median
from urllib.parse import urlsplit

from django.db.models import QuerySet

from bench.processes import Failed
from bench.servers import Server
from bench.table import print_table
from bench.wrk import Round, Walk
from courses.models import Course, Level
from school.api.pagination import link_to, salt_of
from students.acts import Origin
from students.changes import cursor_at
from students.enrollment import enroll_many
from students.models import Channel, EnrollmentEvent, StudentCourse
from students.views import EnrollmentViewSet, RosterViewSet

PAGE = 50  # rows of a page
SEATS = 300  # of the course that is rushed at
ASKED = (0.8, 1.2)  # the last page's share of the first one's requests a second

Ends = tuple[Walk, Walk]


def big_course(students: tuple[int, int]) -> Course:
    """Make a course that the lower half of the students, by first id and number, is in."""
    return _filled("BIG", students, students[1] // 2)


def full_course(students: tuple[int, int]) -> Course:
    """Make a course that the first of the students fill to its last seat."""
    return _filled("FULL", students, SEATS)


def _filled(code: str, students: tuple[int, int], seats: int) -> Course:
    course = Course.objects.create(code=code, name=code, level=Level.INTRODUCTORY, capacity=seats)
    enroll_many(((students[0] + place, course.pk) for place in range(seats)), origin=Origin(Channel.COMMAND))
    return course


def refusals(full: Course, students: tuple[int, int]) -> Walk:
    """Return the walk of those who find no seat in a full course and do not wait."""
    first, count = students
    others = first + SEATS, count - SEATS
    return Walk("POST", *others, "/api/v1/students/", "/courses", ("course_id", full.pk, 1), refused=True)


def ends(course: Course) -> dict[str, Ends]:
    """Return the walks over the first and over the last full page of each list that grows with the school."""
    open_ = StudentCourse.objects.open()
    roster, flat = f"/api/v1/courses/{course.pk}/students?page_size={PAGE}", f"/api/v1/enrollments?page_size={PAGE}"
    last = {
        roster: _behind(roster, RosterViewSet, _before_last(open_.filter(course=course))),
        flat: _behind(flat, EnrollmentViewSet, _before_last(open_)),
    }
    changes = f"/api/v1/changes?limit={PAGE}"
    last[changes] = f"{changes}&after={cursor_at(_before_last(EnrollmentEvent.objects.all()))}"
    names = ("courses/{id}/students", "enrollments", "changes")
    return {f"GET {name}": (_walk(first), _walk(last[first])) for name, first in zip(names, last, strict=True)}


def verify(school: Server, token: str, big: Course, full: Course, students: tuple[int, int]) -> None:
    """Raise ``Failed`` where a page is not as full as it should be, or a refusal is another one."""
    headers = {"Authorization": f"Bearer {token}"}
    for name, pages in ends(big).items():
        for place, walk in enumerate(pages):
            answer = school.ask("GET", f"{walk.before}{walk.first}{walk.behind}", headers=headers)
            rows, more = answer["results"], answer.get("has_more", answer.get("next"))
            if len(rows) != PAGE or bool(more) != (place == 0):
                raise Failed(f"{name}: the page has {len(rows)} rows, and more: {more}.")
    walk = refusals(full, students)
    path, body = f"{walk.before}{walk.first}{walk.behind}", f'{{"course_id": {full.pk}}}'
    refused = school.ask("POST", path, body, {**headers, "Content-Type": "application/json"}, status=409)
    if refused["code"] != "course_full":
        raise Failed(f"POST {path} is refused for {refused['code']}.")


def show(rounds: dict[str, dict[str, list[Round]]], rows: dict[str, int]) -> None:
    """Print the last pages beside the first ones."""
    print_table(
        f"The last page of {PAGE} rows against the first; asked of requests/s: {ASKED[0]} to {ASKED[1]}",
        ["list", "rows", "first, requests/s", "last", "last/first", "CPU first", "CPU last", "last/first"],
        [_line(name, rows[name], taken["first"], taken["last"]) for name, taken in rounds.items()],
    )


def lengths(course: Course) -> dict[str, int]:
    """Return how many rows each of these lists has."""
    open_ = StudentCourse.objects.open()
    counts = [open_.filter(course=course).count(), open_.count(), EnrollmentEvent.objects.count()]
    return dict(zip(ends(course), counts, strict=True))


def _line(name: str, rows: int, first: list[Round], last: list[Round]) -> list[str]:
    pairs = list(zip(first, last, strict=True))
    return [
        name,
        f"{rows:,}",
        f"{median(each.rate for each in first):,.0f}",
        f"{median(each.rate for each in last):,.0f}",
        f"{median(late.rate / early.rate for early, late in pairs):.2f}",
        f"{median(each.server_cpu for each in first):,.0f}",
        f"{median(each.server_cpu for each in last):,.0f}",
        f"{median(late.server_cpu / early.server_cpu for early, late in pairs):.2f}",
    ]


def _before_last(rows: "QuerySet[StudentCourse] | QuerySet[EnrollmentEvent]") -> int:
    """Return the id behind which one page is left."""
    return int(rows.order_by("-pk").values_list("pk", flat=True)[PAGE])


def _behind(address: str, view: type, pk: int) -> str:
    return link_to(address, salt_of(view), "id", False, (str(pk), pk))


def _walk(address: str) -> Walk:
    """Return the walk that stays at one address: it ends in a number, which is all that a walk varies."""
    url = urlsplit(address)
    query = url.query.split("&")
    [(name, _, size)] = [part.partition("=") for part in query if part.startswith(("page_size=", "limit="))]
    rest = "".join(f"&{part}" for part in query if not part.startswith(f"{name}="))
    return Walk("GET", int(size), 1, f"{url.path}?{name}=", rest)
