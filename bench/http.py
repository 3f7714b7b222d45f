"""Requests through the production server, loaded by wrk: School, and its peers in turn with it."""

import json
import random
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from django.db import connection
from django.db.models import Max, Min

from bench import extremes
from bench.database import postmaster
from bench.peers import Peers, peers_serving
from bench.processes import MANAGE, Failed, manage
from bench.servers import HOST, Server, serving
from bench.table import print_table
from bench.wrk import Round, Walk, load, require_wrk
from courses.models import Course, Level
from students.models import Student, StudentCourse

WARM_UP = 3  # seconds
SAMPLE = 20
FREE_COURSES = 1_000  # which nobody has, for what is enrolled
SCOPES = "students:read courses:read enrollments:read enrollments:write changes:read"
# Counted as always, and never too many; and every request is logged.
UNHINDERED = {"API_RATE_CLIENT": "1000000000", "LOG_LEVEL": "INFO"}

COURSES, ENROLL = "GET students/{id}/courses", "POST students/{id}/courses"
REFUSED = f"{ENROLL}, full"


@dataclass(frozen=True, slots=True)
class Load:
    connections: int
    seconds: int
    rounds: int
    peers: Path | None = None


def measure(load_: Load) -> None:
    """Print the tables; raise ``Failed`` for any answer that is not right."""
    require_wrk()
    with ExitStack() as stack:
        students = _numbered(Student.objects.aggregate(first=Min("pk"), last=Max("pk")), Student.objects.count())
        courses = _free_courses()
        big, full = extremes.big_course(students), extremes.full_course(students)
        serve = [*MANAGE, "serve", "--host", HOST]
        command: Callable[[int], list[str]] = lambda port: [*serve, "--port", str(port)]  # noqa: E731
        school = stack.enter_context(serving(command, probe="/health", environment=UNHINDERED))
        token = _token(school)
        peers: Peers | None = None
        if load_.peers:
            size = {"students": students[1], "courses": 2 * FREE_COURSES, "per": 10}
            peers = stack.enter_context(peers_serving(load_.peers, _url(), **size))
        run = _Runner(load_, school, token, peers, postmaster())
        _verify(school, token, students)
        walks = list(_walks(students, courses))
        rounds = {title: run.rounds(title, walk, load_.connections) for title, walk in walks}
        _verify(school, token, students)
        _show(f"Requests through `manage.py serve`, {load_.connections} connections", rounds, load_)
        crowded = {title: run.rounds(title, walk, 64) for title, walk in walks[:1]}
        _show("The same with 64 connections", crowded, load_)
        extremes.verify(school, token, big, full, students)
        refused = {REFUSED: run.rounds(REFUSED, extremes.refusals(full, students), load_.connections)}
        _show(f"Refusals of a full course of {extremes.SEATS} seats, {load_.connections} connections", refused, load_)
        print("The peers count no seats: theirs refuse who is in a course already, which takes the same looking up.")
        pages = {title: run.turns(_ends(school, each), load_.connections) for title, each in extremes.ends(big).items()}
        extremes.show(pages, extremes.lengths(big))
        extremes.verify(school, token, big, full, students)
    tables = (rounds, crowded, refused, pages)
    everything = [each for of in tables for who in of.values() for taken in who.values() for each in taken]
    if any(each.errors or each.timeouts for each in everything):
        raise Failed("Some requests failed: answers that were not asked for, broken connections or timeouts.")


def _walks(students: tuple[int, int], courses: tuple[int, int]) -> Iterator[tuple[str, Walk]]:
    first, count = students
    yield COURSES, Walk("GET", first, count, "/api/v1/students/", "/courses")
    yield ENROLL, Walk("POST", first, count, "/api/v1/students/", "/courses", ("course_id", *courses))
    held = Course.objects.filter(enrollments__in=StudentCourse.objects.open(), pk__lt=courses[0])
    running = held.aggregate(first=Min("pk"), last=Max("pk"))  # the courses of one term, one after the other
    rosters = running["first"], running["last"] - running["first"] + 1
    yield "GET courses/{id}/students, 10 rows", Walk("GET", *rosters, "/api/v1/courses/", "/students?page_size=10")
    yield "GET enrollments, 10 rows", Walk("GET", 10, 1, "/api/v1/enrollments?page_size=", "")
    yield "GET changes, 10 rows", Walk("GET", 10, 1, "/api/v1/changes?limit=", "")


class _Runner:
    """Rounds of School and of its peers, in turn."""

    def __init__(self, load_: Load, school: Server, token: str, peers: Peers | None, database: int | None) -> None:
        self.load, self.school, self.token, self.peers, self.database = load_, school, token, peers, database
        self.seed = 0

    def rounds(self, title: str, walk: Walk, connections: int) -> dict[str, list[Round]]:
        who = {"School": (self.school, walk)}
        if self.peers:
            # Their lists of other kinds than a student's courses are not there: what is alike in size is measured.
            get = Walk("GET", 1, self.peers.students, "/students/", "/courses")
            # In the peers' data the upper half of the students has no course of the upper half.
            half = self.peers.students // 2
            body = ("course", self.peers.crowded, 1) if walk.refused else ("course", FREE_COURSES + 1, FREE_COURSES)
            post = Walk("POST", half + 1, half, "/students/", "/courses", body, refused=walk.refused)
            who |= {
                name: (server, get if walk.method == "GET" else post) for name, server in self.peers.servers.items()
            }
        return self.turns(who, connections)

    def turns(self, who: dict[str, tuple[Server, Walk]], connections: int) -> dict[str, list[Round]]:
        """Load each in turn, round by round, behind one to warm up."""
        taken: dict[str, list[Round]] = {name: [] for name in who}
        for number in range(self.load.rounds + 1):
            for name, (server, each) in who.items():
                self.seed += 1
                found = load(
                    server.origin,
                    each,
                    self.token,
                    connections=connections,
                    seconds=self.load.seconds if number else WARM_UP,
                    seed=self.seed,
                    server=server.pid,
                    database=self.database,
                )
                if number:
                    taken[name].append(found)
        return taken


def _ends(school: Server, walks: extremes.Ends) -> dict[str, tuple[Server, Walk]]:
    first, last = walks
    return {"first": (school, first), "last": (school, last)}


def _show(title: str, rounds: dict[str, dict[str, list[Round]]], load_: Load) -> None:
    print_table(
        f"{title}; the median of {load_.rounds} rounds of {load_.seconds} s in turn",
        [
            "request",
            "who",
            "requests/s",
            "of FastAPI",
            "p50 ms",
            "p99 ms",
            "errors",
            "CPU",
            "of FastAPI",
            "CPU PostgreSQL",
        ],
        [_line(request, who, taken, of) for request, of in rounds.items() for who, taken in of.items()],
    )
    print("CPU: microseconds a request, of all processes of the server. Ratios: the median of those of the rounds.")


def _line(request: str, who: str, taken: list[Round], others: dict[str, list[Round]]) -> list[str]:
    peer = others.get("FastAPI")
    ratios = ["-", "-"]
    if peer:
        pairs = list(zip(taken, peer, strict=True))
        ratios = [f"{median(ours.rate / theirs.rate for ours, theirs in pairs):.2f}"]
        ratios.append(f"{median(ours.server_cpu / theirs.server_cpu for ours, theirs in pairs):.2f}")
    middle = {name: median(getattr(each, name) for each in taken) for name in Round.__slots__}
    return [
        request,
        who,
        f"{middle['rate']:,.0f}",
        ratios[0],
        f"{middle['p50']:.1f}",
        f"{middle['p99']:.1f}",
        str(sum(each.errors + each.timeouts for each in taken)),
        f"{middle['server_cpu']:,.0f}",
        ratios[1],
        f"{middle['database_cpu']:,.0f}",
    ]


def _numbered(ends: dict[str, int], count: int) -> tuple[int, int]:
    if ends["last"] != ends["first"] + count - 1:
        raise Failed("The ids of the students have gaps.")
    return ends["first"], count


def _free_courses() -> tuple[int, int]:
    """Make courses with a seat for everybody; return the first id and their number."""
    seats = Student.objects.count()
    made = Course.objects.bulk_create(
        Course(code=f"FREE-{number}", name="Free", level=Level.INTRODUCTORY, capacity=seats)
        for number in range(FREE_COURSES)
    )
    return made[0].pk, FREE_COURSES


def _url() -> str:
    info = connection.get_connection_params()
    password = f":{info['password']}" if info.get("password") else ""
    return f"postgres://{info['user']}{password}@{info['host']}:{info['port']}/{info['dbname']}"


def _token(school: Server) -> str:
    """Make a client by `create_api_client` and let it ask for a token."""
    keys = json.loads(manage("create_api_client", "bench", "--scope", SCOPES, "--json").output)
    basic = b64encode(f"{keys['client_id']}:{keys['client_secret']}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    return str(school.ask("POST", "/oauth/token", "grant_type=client_credentials", headers)["access_token"])


def _verify(school: Server, token: str, students: tuple[int, int]) -> None:
    """Compare a sample of answers with the database."""
    first, count = students
    dice = random.Random(count)
    for student in [first, first + count - 1, *(first + dice.randrange(count) for _ in range(SAMPLE))]:
        path = f"/api/v1/students/{student}/courses"
        results = school.ask("GET", path, headers={"Authorization": f"Bearer {token}"})["results"]
        expected = StudentCourse.objects.filter(student=student).open().order_by("pk").values_list("pk", flat=True)
        if [each["id"] for each in results] != list(expected[:50]):
            raise Failed(f"{path} does not answer what the database has.")
        if any(each["student"]["id"] != student for each in results):
            raise Failed(f"{path} answers with another student's courses.")
