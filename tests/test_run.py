"""``make run`` as a new user meets it, in a folder of its own. The packages are those of the tests."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from django.db import connection
from psycopg import IsolationLevel

from tests.factories import CANARY
from tests.logs import leaks_in

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="the demo is SQLite's, so once is enough")


@pytest.fixture
def folder(tmp_path):
    """A copy of the project, with an environment as `make run` writes it."""
    for name in ("school", "bulk", "courses", "students"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", tmp_path)
    (tmp_path / ".env").write_text("SECRET_KEY=only-for-tests\nHTTPS=false\nLOG_JSON=false\n")
    return tmp_path


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(folder, port):
    """Start the demo and return it with what it said once it was up. Its logs go to the file ``stderr``."""
    environment = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME")}
    with (folder / "stderr").open("a") as stderr:
        demo = subprocess.Popen(
            [sys.executable, "manage.py", "run_demo", "--port", str(port)],
            cwd=folder,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert demo.stdout is not None
    said = ""
    for line in demo.stdout:
        said += line
        if "Stop with Ctrl-C" in line:
            break
    return demo, said


def stop(demo, with_signal):
    demo.send_signal(with_signal)
    rest, _ = demo.communicate(timeout=30)
    return demo.returncode, rest.strip().splitlines()[-1]


def test_the_demo_runs_twice_with_the_same_data_and_ends_cleanly(folder, port):
    demo, said = start(folder, port)
    [curl] = re.findall(r"curl .*", said)
    answer = subprocess.run(shlex.split(curl), capture_output=True, text=True, check=True).stdout
    taken = subprocess.run(
        [sys.executable, "manage.py", "run_demo", "--port", str(port)], cwd=folder, capture_output=True, text=True
    )
    first_end = stop(demo, signal.SIGINT)

    demo, said_again = start(folder, port)
    [curl] = re.findall(r"curl .*", said_again)
    again = subprocess.run(shlex.split(curl), capture_output=True, text=True, check=True).stdout
    second_end = stop(demo, signal.SIGTERM)

    results = json.loads(answer)["results"]
    assert {enrollment["student"]["student_number"] for enrollment in results} == {"S-1042"}
    assert json.loads(again)["results"] == results
    keys = [re.search(r"user: (\S+)   password: (\S+)", text) for text in (said, said_again)]
    assert keys[0] is not None
    assert keys[1] is not None
    assert keys[0].groups() == keys[1].groups()
    assert (first_end, second_end) == ((0, "Stopped. The data is kept."),) * 2
    assert (taken.returncode, taken.stderr.count("\n")) == (1, 1)
    assert taken.stderr.startswith(f"CommandError: Cannot listen on 127.0.0.1:{port}")
    assert oct((folder / ".demo.json").stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("as_json", ["true", "false"])
def test_the_running_demo_logs_every_request_and_nobodys_data(folder, port, as_json):
    variables = folder / ".env"
    variables.write_text(variables.read_text().replace("LOG_JSON=false", f"LOG_JSON={as_json}"))
    somebody = {
        "student_number": f"{CANARY}-1",
        "given_name": "Ada",
        "family_name": CANARY,
        "email": f"ada@{CANARY}.example",
    }
    as_body = ["-H", "Content-Type: application/json", "-d", json.dumps(somebody)]
    demo, said = start(folder, port)
    [curl] = re.findall(r"curl .*", said)
    *with_token, courses_of_a_student = shlex.split(curl)
    students = courses_of_a_student.partition("/number:")[0]

    def code_of(*request):
        return subprocess.check_output([*with_token, "-s", "-o", os.devnull, "-w", "%{http_code}", *request], text=True)

    codes = [
        code_of(courses_of_a_student),
        code_of(students, *as_body),
        code_of(students, *as_body),
        code_of(f"{students}/number:{CANARY}-1/courses"),
        code_of(f"{students}?search={CANARY}"),
        code_of(f"http://127.0.0.1:{port}/{CANARY}"),
    ]
    demo.send_signal(signal.SIGTERM)
    rest, _ = demo.communicate(timeout=30)

    assert codes == ["200", "201", "409", "200", "200", "404"]
    logs = (folder / "stderr").read_text()
    assert logs.count("request_finished") == len(codes) + 1  # the demo asked for its token
    assert leaks_in(logs) == []
    assert [line.strip() for line in leaks_in(said + rest)] == [curl]  # the banner's, which is no log


@pytest.fixture
def read_only_folder():
    """A folder with the Makefile that is read-only, and somebody to whom it is: to root nothing is."""
    folder = Path(tempfile.mkdtemp())
    shutil.copy(ROOT / "Makefile", folder)
    folder.chmod(0o555)
    yield folder, {"user": "nobody"} if os.geteuid() == 0 else {}
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_make_says_in_one_line_that_a_folder_is_read_only(read_only_folder):
    folder, run_as = read_only_folder

    bare = {"PATH": os.environ["PATH"]}  # the make that runs the tests would be told of as its parent
    said = subprocess.run(["make", "run"], cwd=folder, env=bare, capture_output=True, text=True, check=False, **run_as)

    line, *rest = said.stderr.splitlines()
    assert line == f"This folder is read-only: {folder}. Copy School to where you may write."
    assert [each.startswith("make: ***") for each in rest] == [True]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SECRET_KEY": None}, "Set the SECRET_KEY environment variable"),
        ({"HTTPS": "maybe"}, "HTTPS must be true or false, not 'maybe'."),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL must begin with sqlite:/// or postgres://."),
        ({"DATABASE_URL": "mysql://a/b"}, "DATABASE_URL must begin with sqlite:/// or postgres://."),
    ],
)
def test_a_malformed_setting_stops_the_start_with_a_sentence(variables, message):
    given = {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "SECRET_KEY": "x", **variables}
    environment = {key: value for key, value in given.items() if value is not None}

    check = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert (check.returncode, check.stderr.strip().splitlines()[-1].endswith(message)) == (1, True)


PLANNING = "-c plan_cache_mode=force_generic_plan -c enable_memoize=off"


@pytest.mark.parametrize(
    ("url", "timeout", "expected"),
    [
        ("postgres://a@b/c?sslmode=require", None, {"sslmode": "require", "options": PLANNING}),
        (
            "postgres://a@b/c?sslmode=require",
            "5",
            {"sslmode": "require", "options": f"-c lock_timeout=5000 {PLANNING}"},
        ),
        ("postgres://a@b/c?options=-c%20work_mem%3D8MB", "0", {"options": f"-c work_mem=8MB {PLANNING}"}),
    ],
)
def test_the_lock_timeout_joins_what_the_address_of_the_database_brings(url, timeout, expected):
    given = {"ENV_FILE": os.devnull, "SECRET_KEY": "x", "DATABASE_URL": url, "LOCK_TIMEOUT": timeout}
    environment = {key: value for key, value in given.items() if value is not None}
    ask = "import json; from school.settings import DATABASES; print(json.dumps(DATABASES['default']['OPTIONS']))"

    said = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, env=environment, capture_output=True, check=True
    ).stdout

    noticing = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
    assert json.loads(said) == {"isolation_level": IsolationLevel.READ_COMMITTED, **noticing, **expected}
