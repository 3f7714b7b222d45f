"""
``make run`` as a new user runs it, in its own folder.

The packages are those of the tests.
"""

import json
import os
import pty
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

from tests.support.factories import CANARY
from tests.support.log_scan import leaks_in

ROOT = Path(__file__).resolve().parent.parent.parent
SHORT_KEY = "SECRET_KEY must have 50 or more characters. Anyone with the key can log in as any user."

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="the demo is SQLite's, so once is enough")


@pytest.fixture
def folder(tmp_path):
    """A copy of the project, with an environment as `make run` writes it."""
    for name in ("school", "bulk", "courses", "students", "oneroster", "webhooks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("manage.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".env").write_text(f"SECRET_KEY={os.environ['SECRET_KEY']}\nHTTPS=false\nLOG_JSON=false\n")
    return tmp_path


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(folder, port):
    """Start the demo and return it with its first output. Its logs go to the file ``stderr``."""
    environment = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME")}
    with (folder / "stderr").open("a") as stderr:
        demo = subprocess.Popen(
            [sys.executable, "manage.py", "run_demo", "--port", str(port)],
            cwd=folder,
            env=environment,
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


def test_the_demo_runs_twice_with_the_same_data_and_ends_without_errors(folder, port):
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
    assert [text.partition("\n")[0] for text in (said, said_again)] == ["Preparing the database …"] * 2
    assert (first_end, second_end) == ((0, "Stopped. The data is kept."),) * 2
    assert (taken.returncode, taken.stderr.count("\n")) == (1, 1)
    assert taken.stderr.startswith(f"CommandError: Cannot listen on 127.0.0.1:{port}")
    assert oct((folder / ".demo.json").stat().st_mode & 0o777) == "0o600"


def test_a_demo_interrupted_before_serving_reports_it_and_runs_the_next_time(folder, port):
    demo = subprocess.Popen(
        [sys.executable, "manage.py", "run_demo", "--port", str(port)],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stdout is not None
    assert demo.stdout.readline() == "Preparing the database …\n"
    demo.send_signal(signal.SIGINT)
    interrupted = (demo.communicate(timeout=30)[1], demo.returncode)

    again, said = start(folder, port)
    ended = stop(again, signal.SIGINT)

    assert interrupted == ("CommandError: Interrupted. Run the command again to continue.\n", 130)
    assert "School is running." in said
    assert ended == (0, "Stopped. The data is kept.")


@pytest.mark.parametrize("as_json", ["true", "false"])
def test_the_running_demo_logs_every_request_without_personal_data(folder, port, as_json):
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
    assert logs.count("request_finished") == len(codes) + 1  # the demo requested its token
    assert leaks_in(logs) == []
    assert [line.strip() for line in leaks_in(said + rest)] == [curl]  # a line of the banner, which is no log line


@pytest.fixture
def read_only_folder():
    """A read-only folder with the Makefile, and a user other than root, who could write to it."""
    folder = Path(tempfile.mkdtemp())
    shutil.copy(ROOT / "Makefile", folder)
    folder.chmod(0o555)
    yield folder, {"user": "nobody"} if os.geteuid() == 0 else {}
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_make_reports_a_read_only_folder_in_one_line(read_only_folder):
    folder, run_as = read_only_folder

    bare = {"PATH": os.environ["PATH"]}  # otherwise make would mention the make that runs the tests
    said = subprocess.run(["make", "run"], cwd=folder, env=bare, capture_output=True, text=True, check=False, **run_as)

    line, *rest = said.stderr.splitlines()
    assert line == f"This folder is read-only: {folder}. Copy School to a writable folder."
    assert [each.startswith("make: ***") for each in rest] == [True]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SECRET_KEY": None}, "Set the SECRET_KEY environment variable"),
        ({"SECRET_KEY": ""}, SHORT_KEY),
        ({"SECRET_KEY": "x" * 49}, SHORT_KEY),
        ({"MAX_BODY_BYTES": "word"}, "MAX_BODY_BYTES must be a number."),
        ({"REFUSALS_SECONDS": "word"}, "REFUSALS_SECONDS must be a number."),
        ({"TIME_ZONE": "Mars"}, "TIME_ZONE names no time zone: 'Mars'. Write Europe/Berlin, for example."),
        ({"HTTPS": "maybe"}, "HTTPS must be true or false, not 'maybe'."),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL must begin with sqlite:/// or postgres://."),
        ({"DATABASE_URL": "mysql://a/b"}, "DATABASE_URL must begin with sqlite:/// or postgres://."),
    ],
)
def test_a_malformed_setting_stops_the_start_with_a_message(variables, message):
    given = {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "SECRET_KEY": os.environ["SECRET_KEY"], **variables}
    environment = {key: value for key, value in given.items() if value is not None}

    check = subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert (check.returncode, check.stderr) == (1, f"{message}\n")


def run(*command, **variables):
    """Run a command of School with only these variables; return its exit code, its output and its errors."""
    given = {
        "PATH": os.environ["PATH"],
        "ENV_FILE": os.devnull,
        "SECRET_KEY": os.environ["SECRET_KEY"],
        "HTTPS": "false",
        **variables,
    }
    done = subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=given, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", ["serve", "run_demo"])
@pytest.mark.parametrize("port", ["0", "-1", "70000", "word", "", "٨٠٠٠"])
def test_an_invalid_port_stops_the_start_with_a_message(command, port, tmp_path):
    said = run(command, f"--port={port}", DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")

    assert said == (1, "", f"CommandError: PORT must be a number from 1 to 65535, not {port!r}.\n")


@pytest.mark.parametrize(
    "command", [["serve"], ["work", "--once"], ["list_imports"], ["import_students", "pyproject.toml"]], ids=" ".join
)
def test_unapplied_migrations_stop_the_start_with_a_message(command, port, tmp_path):
    url = f"sqlite:///{tmp_path}/school.sqlite3"
    arguments = [*command, f"--port={port}"] if command == ["serve"] else command

    empty = run(*arguments, DATABASE_URL=url)
    run("migrate", "--verbosity=0", "contenttypes", DATABASE_URL=url)
    behind = run(*arguments, DATABASE_URL=url)

    sentence = "CommandError: The database is not up to date with the code. Run manage.py migrate.\n"
    assert (empty, behind) == ((1, "", sentence),) * 2


@pytest.mark.parametrize("command", [["list_imports"], ["import_students", "pyproject.toml"]], ids=" ".join)
def test_a_command_reports_an_unreachable_database_in_one_line(command, tmp_path):
    said = run(*command, DATABASE_URL=f"sqlite:///{tmp_path}/nowhere/school.sqlite3")

    assert said == (1, "", "CommandError: The database failed (unable to open database file).\n")


def test_https_without_a_proxy_stops_the_start_with_a_message(port, tmp_path):
    code, _stdout, stderr = run("serve", f"--port={port}", HTTPS="true", DATABASE_URL=f"sqlite:///{tmp_path}/s.sqlite3")

    assert (code, stderr) == (
        1,
        "CommandError: HTTPS is on, and this server speaks plain HTTP: every page would be redirected to itself. "
        "Set BEHIND_TLS_PROXY=true behind a proxy that speaks HTTPS, or HTTPS=false without one.\n",
    )


@pytest.mark.parametrize("number", ["0", "-1"])
@pytest.mark.parametrize("option", ["--workers", "--threads"])
def test_a_server_without_workers_or_threads_is_refused(option, number):
    assert run("serve", f"{option}={number}") == (1, "", "CommandError: --workers and --threads must be 1 or more.\n")


@pytest.mark.parametrize("content", [b"SECRET_KEY=\xff", None])
def test_an_unreadable_settings_file_stops_the_start_with_a_message(tmp_path, content):
    file = tmp_path / "settings"
    file.mkdir() if content is None else file.write_bytes(content)
    reason = "Is a directory" if content is None else "it is not UTF-8"

    assert run("check", ENV_FILE=str(file)) == (1, "", f"Cannot read the settings in {file}: {reason}.\n")


@pytest.mark.parametrize(
    "url", ["postgres://u:S3CRET@host:12x/db", "postgres://u:S3/CRET@host:5432/db", "other://u:S3CRET@host/db"]
)
def test_the_error_of_a_malformed_database_url_hides_the_password(url):
    code, stdout, stderr = run("check", DATABASE_URL=url)

    assert (code, stdout, stderr.count("\n")) == (1, "", 1)
    assert stderr.startswith("DATABASE_URL ")
    assert ("S3" in stderr, "CRET" in stderr) == (False, False)


@pytest.mark.parametrize(
    ("variables", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_log_lines_are_colored_only_on_a_terminal_and_never_with_no_color(variables, is_coloured):
    print_line = "import django; django.setup(); import structlog; structlog.get_logger().warning('event_of_a_test')"
    given = {
        "PATH": os.environ["PATH"],
        "ENV_FILE": os.devnull,
        "SECRET_KEY": os.environ["SECRET_KEY"],
        "LOG_JSON": "false",
    }
    environment = {**given, "TERM": "xterm", "DJANGO_SETTINGS_MODULE": "school.settings", **variables}
    command = [sys.executable, "-c", print_line]

    in_a_pipe = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stderr
    reading, writing = pty.openpty()
    subprocess.run(command, cwd=ROOT, env=environment, stderr=writing, check=True)
    os.close(writing)
    on_a_terminal = os.read(reading, 10_000)
    os.close(reading)

    assert [b"event_of_a_test" in text for text in (in_a_pipe, on_a_terminal)] == [True, True]
    assert [b"\x1b[" in text for text in (in_a_pipe, on_a_terminal)] == [False, is_coloured]


@pytest.mark.parametrize("python", ["/nowhere/python", "no-such-python"])
def test_make_reports_a_missing_python_in_one_line(tmp_path, python):
    shutil.copy(ROOT / "Makefile", tmp_path)
    bare = {"PATH": os.environ["PATH"]}

    said = subprocess.run(["make", "run", f"PYTHON={python}"], cwd=tmp_path, env=bare, capture_output=True, text=True)

    line, *rest = said.stderr.splitlines()
    assert line == f"There is no Python at {python}: set PYTHON= to a Python 3.11 or newer."
    assert [each.startswith("make: ***") for each in rest] == [True]


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
def test_the_lock_timeout_is_added_to_the_options_of_the_database_url(url, timeout, expected):
    given = {
        "ENV_FILE": os.devnull,
        "SECRET_KEY": os.environ["SECRET_KEY"],
        "DATABASE_URL": url,
        "LOCK_TIMEOUT": timeout,
    }
    environment = {key: value for key, value in given.items() if value is not None}
    ask = "import json; from school.settings import DATABASES; print(json.dumps(DATABASES['default']['OPTIONS']))"

    said = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, env=environment, capture_output=True, check=True
    ).stdout

    noticing = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
    always = {"isolation_level": IsolationLevel.READ_COMMITTED, "prepare_threshold": 0, **noticing}
    assert json.loads(said) == {**always, **expected}
