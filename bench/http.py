"""Every form of every request through the production server, loaded by wrk, in turn with the peers."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from django.db import connection

from bench.callers import make_callers
from bench.database import postmaster
from bench.forms import Form, Target, forms
from bench.peers import Peers, peers_serving
from bench.processes import MANAGE, Failed
from bench.rows import Ids, make_rows
from bench.servers import HOST, Server, serving
from bench.table import print_table
from bench.wrk import Round, load, require_wrk
from students.models import StudentCourse

COURSES = 997  # of each kind
WARM_UP = 1  # seconds of a form, before all rounds
BESIDE = 8  # forms that are loaded between two loads of the peers
CROWD = 64  # connections
LEFT = 3_000  # who can be dropped and completed in each second
SAMPLE = 20
FASTAPI = "FastAPI"
# Counted as always, and never too many; and every request is logged.
UNHINDERED = {"API_RATE_CLIENT": "1000000000", "LOG_LEVEL": "INFO"}

Rounds = dict[str, list[Round]]  # by the title of a form


@dataclass(frozen=True, slots=True)
class Load:
    connections: int
    seconds: int
    rounds: int
    peers: Path | None = None


def measure(load_: Load) -> None:
    """Print the tables; raise ``Failed`` for wrong answers, and for a form that costs too much of its plain form."""
    require_wrk()
    with ExitStack() as stack:
        leavers = LEFT * load_.seconds
        rows = make_rows(courses=COURSES, leavers=leavers, rounds=load_.rounds + 1)
        callers = make_callers(rows.term)
        serve = [*MANAGE, "serve", "--host", HOST]
        command: Callable[[int], list[str]] = lambda port: [*serve, "--port", str(port)]  # noqa: E731
        school = stack.enter_context(serving(command, probe="/health", environment=UNHINDERED))
        peers: Peers | None = None
        if load_.peers:
            size = {"students": rows.students.count, "courses": 2 * COURSES, "per": 10}
            peers = stack.enter_context(peers_serving(load_.peers, _url(), **size))
        _verify(school, callers["client"], rows.students)
        run = _Runner(load_, school, callers, peers, postmaster())
        every = list(forms(rows))
        run.all(every)
        _show(run, every)
        plain = [next(form for form in every if form.target and form.target.of == of) for of in ("GET", "POST")]
        _show_crowd(run, plain)
        _verify(school, callers["client"], rows.students)
    errors = [title for title, taken in run.own.items() if any(each.errors for each in taken)]
    slow = [form.title for form in every if form.most and form.plain and run.of_plain(form) > form.most]
    if errors:
        raise Failed(f"Some requests were answered otherwise than they should be: {', '.join(errors)}.")
    if slow:
        raise Failed(f"These forms cost more than they may of their plain form: {', '.join(slow)}.")


class _Runner:
    """Rounds of School's forms, with the peers' two requests in between."""

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
        self.own: Rounds = {}
        self.beside: dict[str, dict[str, list[Round]]] = {}  # of each peer, by method
        self.nearest: dict[str, list[dict[str, Round]]] = {}  # of FastAPI, beside each round of a form

    def all(self, every: Sequence[Form]) -> None:
        """Load each form once to warm up, then in rounds."""
        for number in range(self.load.rounds + 1):
            latest: dict[str, Round] = {}
            for place, form in enumerate(every):
                seconds = self.load.seconds if number else WARM_UP
                if self.peers and place % BESIDE == 0:
                    latest = self._peers(
                        seconds, list(self.peers.servers) if place == 0 else [FASTAPI], keep=bool(number)
                    )
                found = self.one(form, seconds, self.load.connections, seed=number)
                if number:
                    self.own.setdefault(form.title, []).append(found)
                    self.nearest.setdefault(form.title, []).append(latest)

    def one(self, form: Form, seconds: int, connections: int, seed: int | None = None) -> Round:
        """Load School by a form."""
        self.seeds["School"] += 1
        return load(
            self.school,
            form,
            self.callers[form.caller],
            prefix="/api/v1/",
            connections=connections,
            seconds=seconds,
            seed=seed if seed is not None and form.by_round else self.seeds["School"],
            database=self.database,
        )

    def peer(self, name: str, form: Form, seconds: int, connections: int) -> Round:
        """Load a peer by one of its two requests."""
        assert self.peers is not None
        self.seeds["peers"] += 1
        server, seed = self.peers.servers[name], self.seeds["peers"]
        return load(
            server, form, {}, prefix="/", connections=connections, seconds=seconds, seed=seed, database=self.database
        )

    def requests_of_peers(self) -> dict[str, Form]:
        """Return what the peers know. The upper half of their students has no course of the upper half."""
        assert self.peers is not None
        half, path = self.peers.students // 2, "students/{row}/courses"
        courses = Ids(self.peers.courses // 2 + 1, self.peers.courses // 2)
        post = Form("POST", path, method="POST", body='{"course":{other}}', rows=Ids(half + 1, half), others=courses)
        return {"GET": Form("GET", path, rows=Ids(1, self.peers.students)), "POST": post}

    def _peers(self, seconds: int, names: Sequence[str], *, keep: bool) -> dict[str, Round]:
        """Load these peers, FastAPI among them, and return what that one did, by method."""
        latest = {}
        for method, form in self.requests_of_peers().items():
            for name in names:
                found = self.peer(name, form, seconds, self.load.connections)
                if keep:
                    self.beside.setdefault(name, {}).setdefault(method, []).append(found)
                if name == FASTAPI:
                    latest[method] = found
        return latest

    def of_plain(self, form: Form) -> float:
        """Return how much of the plain form's processor time a form takes."""
        pairs = zip(self.own[form.title], self.own[form.plain], strict=True)
        return median(own.server_cpu / plain.server_cpu for own, plain in pairs)

    def of_fastapi(self, form: Form, target: Target) -> tuple[float, float] | None:
        """Return the share of FastAPI's rate and of its processor time."""
        if self.peers is None:
            return None
        pairs = [
            (own, near[target.of]) for own, near in zip(self.own[form.title], self.nearest[form.title], strict=True)
        ]
        rate = median(own.rate / other.rate for own, other in pairs)
        return rate, median(own.server_cpu / other.server_cpu for own, other in pairs)


def _show(run: _Runner, every: Sequence[Form]) -> None:
    head = ["request", "requests/s", "of FastAPI", "asked", "CPU", "of FastAPI", "asked", "reached", "of plain"]
    lines = [_line(run, form) for form in every]
    of_peers = [_peer_line(name, *each) for name, of in run.beside.items() for each in of.items()]
    load_ = run.load
    print_table(
        f"Requests through `manage.py serve`, {load_.connections} connections; "
        f"the median of {load_.rounds} rounds of {load_.seconds} s in turn",
        [*head, "p50 ms", "p99 ms", "errors", "CPU PostgreSQL"],
        [*lines, *of_peers],
    )
    print(
        "CPU: microseconds a request, of all processes of the server. FastAPI: its list or its POST, in turn with it."
    )
    short = [line[0] for line in lines if line[7] == "falls short"]
    asked = sum(line[7] != "" for line in lines)
    print(f"{asked - len(short)} of {asked} targets are reached." + ("" if asked else " Peers were not measured."))


def _line(run: _Runner, form: Form) -> list[str]:
    taken, target = run.own[form.title], form.target
    shares = target and run.of_fastapi(form, target)
    cells = ["", "", "", "", ""]
    if shares and target:
        reached = shares[0] >= target.rate and shares[1] <= target.cpu
        cells = [f"{shares[0]:.2f}", f"{target.rate:.1f}", f"{shares[1]:.2f}", f"{target.cpu:.2f}"]
        cells.append("reached" if reached else "falls short")
    of_plain = f"{run.of_plain(form):.2f}" if form.plain else "-"
    rate, cpu = _figures(taken)
    return [form.title, rate, *cells[:2], cpu, *cells[2:], of_plain, *_more(taken)]


def _peer_line(name: str, method: str, taken: Sequence[Round]) -> list[str]:
    rate, cpu = _figures(taken)
    return [f"{name}: {method}", rate, "", "", cpu, "", "", "", "", *_more(taken)]


def _figures(taken: Sequence[Round]) -> tuple[str, str]:
    return f"{median(each.rate for each in taken):,.0f}", f"{median(each.server_cpu for each in taken):,.0f}"


def _more(taken: Sequence[Round]) -> list[str]:
    middle = [f"{median(getattr(each, name) for each in taken):.1f}" for name in ("p50", "p99")]
    return [*middle, str(sum(each.errors for each in taken)), f"{median(each.database_cpu for each in taken):,.0f}"]


def _show_crowd(run: _Runner, plain: Sequence[Form]) -> None:
    """Print how long answers take where many ask at once."""
    lines = []
    for form in plain:
        who = {"School": [run.one(form, run.load.seconds, CROWD) for _round in range(run.load.rounds)]}
        if run.peers:
            of_peer = run.requests_of_peers()[form.method]
            who[FASTAPI] = [run.peer(FASTAPI, of_peer, run.load.seconds, CROWD) for _round in range(run.load.rounds)]
        lines += [[f"{form.title}: {name}", *_figures(taken), *_more(taken)] for name, taken in who.items()]
    head = ["request", "requests/s", "CPU", "p50 ms", "p99 ms", "errors", "CPU PostgreSQL"]
    print_table(f"With {CROWD} connections", head, lines)


def _url() -> str:
    info = connection.get_connection_params()
    password = f":{info['password']}" if info.get("password") else ""
    return f"postgres://{info['user']}{password}@{info['host']}:{info['port']}/{info['dbname']}"


def _verify(school: Server, headers: Mapping[str, str], students: Ids) -> None:
    """Compare a sample of answers with the database."""
    for student in range(students.first, students.first + students.count, max(students.count // SAMPLE, 1)):
        path = f"/api/v1/students/{student}/courses"
        results = school.ask("GET", path, headers=headers)["results"]
        expected = StudentCourse.objects.filter(student=student).open().order_by("pk").values_list("pk", flat=True)
        if [each["id"] for each in results] != list(expected[:50]):
            raise Failed(f"{path} does not answer what the database has.")
        if any(each["student"]["id"] != student for each in results):
            raise Failed(f"{path} answers with another student's courses.")
