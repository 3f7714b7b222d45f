"""
The Containerfile: its form, and the health check. `make container` replays it in a chroot.

The replay takes minutes and needs root, so it is no test of this file.
"""

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from django.conf import settings

from school.server import server_command_line
from tools.containerfile import ReplayError, admitted, parse, replay

ROOT = Path(settings.BASE_DIR)
FILE = ROOT / "deploy/Containerfile"
INSTRUCTIONS = list(parse(FILE.read_text()))


def test_the_image_has_two_stages_and_a_numeric_user():
    names = [each.name for each in INSTRUCTIONS]

    assert names.count("FROM") == 2
    assert [each.text for each in INSTRUCTIONS if each.name == "USER"] == ["10001:10001"]
    assert {"HEALTHCHECK", "LABEL", "STOPSIGNAL", "EXPOSE"} <= set(names)


def test_the_image_has_the_version_of_the_project():
    assert [each.text for each in INSTRUCTIONS if each.text.startswith("VERSION=")] == [f"VERSION={settings.VERSION}"]


def test_only_wheels_with_hashes_are_installed():
    [install] = [each.text for each in INSTRUCTIONS if "pip install" in each.text]

    assert {"--require-hashes", "--only-binary=:all:"} <= set(install.split())


def test_no_variable_and_no_argument_of_the_image_is_a_secret():
    named = [each.text for each in INSTRUCTIONS if each.name in ("ARG", "ENV", "LABEL")]

    assert [text for text in named if any(word in text for word in ("SECRET", "PASSWORD", "TOKEN", "DATABASE"))] == []


def test_the_build_context_admits_exactly_what_is_copied():
    copied = {
        source.rstrip("/")
        for each in INSTRUCTIONS
        if each.name == "COPY" and "--from" not in each.text
        for source in each.text.split()[:-1]
    }
    rules = (ROOT / ".dockerignore").read_text().splitlines()

    assert {source for source in copied if not admitted(source, ROOT)} == set()
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)
    assert "*" in rules


def test_every_app_is_in_the_image():
    apps = {path.parent.name for path in ROOT.glob("*/apps.py")}

    assert all(admitted(app, ROOT) for app in apps)


@pytest.mark.parametrize("line", ["FROM scratch", "ADD x y", "RUN --mount=type=cache true", "COPY --chown=1 a b"])
def test_the_replay_refuses_what_it_does_not_know(tmp_path, line):
    file = tmp_path / "Containerfile"
    before = "" if line.startswith("FROM") else "FROM docker.io/library/debian:test-slim\n"
    file.write_text(f"{before}{line}\n")
    subprocess.run(["tar", "--create", "--file", tmp_path / "test.tar", "--files-from", "/dev/null"], check=True)

    with pytest.raises(ReplayError):
        replay(file, ROOT, tmp_path)


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("school.example,other", "school.example"),
        (".school.example", "school.example"),
        ("*", "localhost"),
        ("", "localhost"),
    ],
)
@pytest.mark.parametrize("status", [200, 503])
def test_the_health_check_asks_with_a_host_that_is_served(tmp_path, hosts, expected, status):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Host"]))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        code = (ROOT / "deploy/healthcheck.py").read_text().replace(":8000", f":{server.server_port}")
        script = tmp_path / "healthcheck.py"
        script.write_text(code)
        checked = subprocess.run(
            [sys.executable, script], env={"ALLOWED_HOSTS": hosts}, capture_output=True, text=True, check=False
        )
        server.shutdown()

    assert asked == [("/health", expected)]
    assert (checked.returncode, len(checked.stderr.splitlines())) == ((0, 0) if status == 200 else (1, 1))


def test_the_health_check_asks_the_port_that_the_image_serves():
    [command] = [json.loads(each.text) for each in INSTRUCTIONS if each.name == "CMD"]

    assert command == ["serve", "--host=0.0.0.0"]
    assert "--port=8000" in server_command_line(host="", port=8000, workers=1, threads=1)
    assert ":8000/health" in (ROOT / "deploy/healthcheck.py").read_text()
