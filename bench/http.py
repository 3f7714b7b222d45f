"""Load the production server with all forms of requests by wrk, alternating with the peers."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from django.db import connection

from bench.callers import make_callers
from bench.database import postmaster
from bench.extra_rows import Ids, make_rows
from bench.peer_servers import Peers, running_peers
from bench.processes import MANAGE, Failed
from bench.request_forms import Form, Target, forms
from bench.servers import HOST, Server, serving
from bench.table import print_table
from bench.wrk import Round, load, require_wrk
from students.models import StudentCourse

COURSES = 997  # the number of courses of each kind
WARM_UP_SECONDS = 1  # seconds for each form, before the first round
FORMS_PER_PEER_LOAD = 8  # the number of forms between two loads of the peers
MANY_CONNECTIONS = 64  # the number of connections of the last measurement
LEAVERS_PER_SECOND = 3_000  # the number of enrollments that can be dropped or completed in a second
SAMPLE = 20
FASTAPI = "FastAPI"
# Requests are counted, but the limit is never reached; every request is logged.
ENVIRONMENT = {"API_RATE_CLIENT": "1000000000", "LOG_LEVEL": "INFO"}

Rounds = dict[str, list[Round]]  # maps the title of a form to its rounds


@dataclass(frozen=True, slots=True)
class Load:
    connections: int
    seconds: int
    rounds: int
    peers: Path | None = None


def measure(load_: Load) -> None:
    """Print the tables; raise ``Failed`` for wrong responses, and for forms that exceed their maximum ratio."""
    require_wrk()
    with ExitStack() as stack:
        leavers = LEAVERS_PER_SECOND * load_.seconds
        rows = make_rows(courses=COURSES, leavers=leavers, rounds=load_.rounds + 1)
        callers = make_callers(rows.term)
        serve = [*MANAGE, "serve", "--host", HOST]
        command: Callable[[int], list[str]] = lambda port: [*serve, "--port", str(port)]  # noqa: E731
        school = stack.enter_context(serving(command, probe="/health", environment=ENVIRONMENT))
        peers: Peers | None = None
        if load_.peers:
            size = {"students": rows.students.count, "courses": 2 * COURSES, "per": 10}
            peers = stack.enter_context(running_peers(load_.peers, _url(), **size))
        _verify(school, callers["client"], rows.students)
        run = _Runner(load_, school, callers, peers, postmaster())
        every = list(forms(rows))
        run.load_all(every)
        _print_forms(run, every)
        plain = [next(form for form in every if form.target and form.target.of == of) for of in ("GET", "POST")]
        _print_many_connections(run, plain)
        _verify(school, callers["client"], rows.students)
    errors = [title for title, taken in run.school_rounds.items() if any(each.errors for each in taken)]
    slow = [form.title for form in every if form.max_ratio and form.plain and run.ratio_to_plain(form) > form.max_ratio]
    if errors:
        raise Failed(f"Some requests got unexpected responses: {', '.join(errors)}.")
    if slow:
        raise Failed(f"These forms exceed the maximum ratio to their plain form: {', '.join(slow)}.")


class _Runner:
    """Runs rounds of School's forms. Between the rounds it loads the peers with their two requests."""

    def __init__(
        self,
        load_: Load,
        school: Server,
        callers: Mapping[str, Mapping[str, str]],
        peers: Peers | None,
        database: int | None,
    ) -> None:
        self.load, self.school, self.callers, self.peers, self.database = load_, school, callers, peers, database
        self.seeds = dict.fromkeys(("School", "peers"), 0)
        self.school_rounds: Rounds = {}
        # Maps a peer, and then a method, to the rounds of the peer.
        self.peer_rounds: dict[str, dict[str, list[Round]]] = {}
        # Maps a form to the latest rounds of FastAPI before each round of the form, by method.
        self.fastapi_rounds: dict[str, list[dict[str, Round]]] = {}

    def load_all(self, every: Sequence[Form]) -> None:
        """Load each form once to warm up, then in rounds."""
        for number in range(self.load.rounds + 1):
            latest: dict[str, Round] = {}
            for place, form in enumerate(every):
                seconds = self.load.seconds if number else WARM_UP_SECONDS
                if self.peers and place % FORMS_PER_PEER_LOAD == 0:
                    latest = self._load_peers(
                        seconds, list(self.peers.servers) if place == 0 else [FASTAPI], keep=bool(number)
                    )
                found = self.load_school(form, seconds, self.load.connections, seed=number)
                if number:
                    self.school_rounds.setdefault(form.title, []).append(found)
                    self.fastapi_rounds.setdefault(form.title, []).append(latest)

    def load_school(self, form: Form, seconds: int, connections: int, seed: int | None = None) -> Round:
        """Load School with a form."""
        self.seeds["School"] += 1
        return load(
            self.school,
            form,
            self.callers[form.caller],
            prefix="/api/v1/",
            connections=connections,
            seconds=seconds,
            seed=seed if seed is not None and form.seed_by_round else self.seeds["School"],
            database=self.database,
        )

    def load_peer(self, name: str, form: Form, seconds: int, connections: int) -> Round:
        """Load a peer with one of its two requests."""
        assert self.peers is not None
        self.seeds["peers"] += 1
        server, seed = self.peers.servers[name], self.seeds["peers"]
        return load(
            server, form, {}, prefix="/", connections=connections, seconds=seconds, seed=seed, database=self.database
        )

    def requests_of_peers(self) -> dict[str, Form]:
        """
        Return the two requests of the peers.

        The second one enrolls students of the upper half in courses of the upper half, in which they are not enrolled
        yet.
        """
        assert self.peers is not None
        half, path = self.peers.students // 2, "students/{row}/courses"
        courses = Ids(self.peers.courses // 2 + 1, self.peers.courses // 2)
        post = Form("POST", path, method="POST", body='{"course":{other}}', rows=Ids(half + 1, half), others=courses)
        return {"GET": Form("GET", path, rows=Ids(1, self.peers.students)), "POST": post}

    def _load_peers(self, seconds: int, names: Sequence[str], *, keep: bool) -> dict[str, Round]:
        """Load these peers, and return the rounds of FastAPI, which is one of them, by method."""
        latest = {}
        for method, form in self.requests_of_peers().items():
            for name in names:
                found = self.load_peer(name, form, seconds, self.load.connections)
                if keep:
                    self.peer_rounds.setdefault(name, {}).setdefault(method, []).append(found)
                if name == FASTAPI:
                    latest[method] = found
        return latest

    def ratio_to_plain(self, form: Form) -> float:
        """Return the ratio of the CPU time of a form to that of its plain form."""
        pairs = zip(self.school_rounds[form.title], self.school_rounds[form.plain], strict=True)
        return median(own.server_cpu / plain.server_cpu for own, plain in pairs)

    def ratios_to_fastapi(self, form: Form, target: Target) -> tuple[float, float] | None:
        """Return the ratios to FastAPI's rate and CPU time."""
        if self.peers is None:
            return None
        pairs = [
            (own, near[target.of])
            for own, near in zip(self.school_rounds[form.title], self.fastapi_rounds[form.title], strict=True)
        ]
        rate = median(own.rate / other.rate for own, other in pairs)
        return rate, median(own.server_cpu / other.server_cpu for own, other in pairs)


def _print_forms(run: _Runner, every: Sequence[Form]) -> None:
    head = ["request", "requests/s", "of FastAPI", "asked", "CPU", "of FastAPI", "asked", "reached", "of plain"]
    lines = [_form_line(run, form) for form in every]
    of_peers = [_peer_line(name, *each) for name, of in run.peer_rounds.items() for each in of.items()]
    load_ = run.load
    print_table(
        f"Requests through `manage.py serve`, {load_.connections} connections; "
        f"the median of {load_.rounds} rounds of {load_.seconds} s in turn",
        [*head, "p50 ms", "p99 ms", "errors", "CPU PostgreSQL"],
        [*lines, *of_peers],
    )
    print("CPU: microseconds a request, of all processes of the server. FastAPI: its list or POST, in alternation.")
    short = [line[0] for line in lines if line[7] == "falls short"]
    asked = sum(line[7] != "" for line in lines)
    print(f"{asked - len(short)} of {asked} targets are reached." + ("" if asked else " Peers were not measured."))


def _form_line(run: _Runner, form: Form) -> list[str]:
    taken, target = run.school_rounds[form.title], form.target
    shares = target and run.ratios_to_fastapi(form, target)
    cells = ["", "", "", "", ""]
    if shares and target:
        reached = shares[0] >= target.rate and shares[1] <= target.cpu
        cells = [f"{shares[0]:.2f}", f"{target.rate:.1f}", f"{shares[1]:.2f}", f"{target.cpu:.2f}"]
        cells.append("reached" if reached else "falls short")
    ratio_to_plain = f"{run.ratio_to_plain(form):.2f}" if form.plain else "-"
    rate, cpu = _rate_and_cpu(taken)
    return [form.title, rate, *cells[:2], cpu, *cells[2:], ratio_to_plain, *_latency_cells(taken)]


def _peer_line(name: str, method: str, taken: Sequence[Round]) -> list[str]:
    rate, cpu = _rate_and_cpu(taken)
    return [f"{name}: {method}", rate, "", "", cpu, "", "", "", "", *_latency_cells(taken)]


def _rate_and_cpu(taken: Sequence[Round]) -> tuple[str, str]:
    return f"{median(each.rate for each in taken):,.0f}", f"{median(each.server_cpu for each in taken):,.0f}"


def _latency_cells(taken: Sequence[Round]) -> list[str]:
    middle = [f"{median(getattr(each, name) for each in taken):.1f}" for name in ("p50", "p99")]
    return [*middle, str(sum(each.errors for each in taken)), f"{median(each.database_cpu for each in taken):,.0f}"]


def _print_many_connections(run: _Runner, plain: Sequence[Form]) -> None:
    """Print the latencies with many connections."""
    lines = []
    for form in plain:
        who = {
            "School": [run.load_school(form, run.load.seconds, MANY_CONNECTIONS) for _round in range(run.load.rounds)]
        }
        if run.peers:
            of_peer = run.requests_of_peers()[form.method]
            who[FASTAPI] = [
                run.load_peer(FASTAPI, of_peer, run.load.seconds, MANY_CONNECTIONS) for _round in range(run.load.rounds)
            ]
        lines += [
            [f"{form.title}: {name}", *_rate_and_cpu(taken), *_latency_cells(taken)] for name, taken in who.items()
        ]
    head = ["request", "requests/s", "CPU", "p50 ms", "p99 ms", "errors", "CPU PostgreSQL"]
    print_table(f"With {MANY_CONNECTIONS} connections", head, lines)


def _url() -> str:
    info = connection.get_connection_params()
    password = f":{info['password']}" if info.get("password") else ""
    return f"postgres://{info['user']}{password}@{info['host']}:{info['port']}/{info['dbname']}"


def _verify(school: Server, headers: Mapping[str, str], students: Ids) -> None:
    """Compare a sample of responses with the database."""
    for student in range(students.first, students.first + students.count, max(students.count // SAMPLE, 1)):
        path = f"/api/v1/students/{student}/courses"
        results = school.ask("GET", path, headers=headers)["results"]
        expected = StudentCourse.objects.filter(student=student).open().order_by("pk").values_list("pk", flat=True)
        if [each["id"] for each in results] != list(expected[:50]):
            raise Failed(f"{path} does not answer what the database has.")
        if any(each["student"]["id"] != student for each in results):
            raise Failed(f"{path} answers with another student's courses.")
