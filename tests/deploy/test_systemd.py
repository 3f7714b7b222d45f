"""The units of systemd are valid and hardened, and they start commands that exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

from school.server import SHUTDOWN_TIMEOUT
from tests.support.programs import require

UNITS = Path(settings.BASE_DIR) / "deploy/systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
MAX_EXPOSURE = 30  # tenths, as systemd-analyze reads it


@pytest.fixture
def units(tmp_path):
    """The units, with a School that is not in /opt: verify looks for the programs that they start."""
    folder = shutil.copytree(UNITS, tmp_path / "units")
    program = tmp_path / "school/.venv/bin/python"
    program.parent.mkdir(parents=True)
    program.symlink_to("/bin/true")
    for path in folder.glob("*.service"):
        path.write_text(path.read_text().replace("/opt/school", str(tmp_path / "school")))
    return folder


def test_there_is_a_unit_for_each_process():
    assert [f"school-{name}.service" for name in ("backup", "housekeeping", "web", "work")] == SERVICES


def test_systemd_accepts_the_units(units):
    program = require("systemd-analyze", "systemd")

    checked = subprocess.run([program, "verify", "--man=no", *units.glob("*.*er")], capture_output=True, text=True)
    services = subprocess.run([program, "verify", "--man=no", *units.glob("*.service")], capture_output=True, text=True)

    assert (checked.returncode, checked.stderr, services.returncode, services.stderr) == (0, "", 0, "")


@pytest.mark.parametrize("service", SERVICES)
def test_systemd_rates_each_service_as_hardened(service):
    program = require("systemd-analyze", "systemd")
    command = [program, "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", "--no-pager", UNITS / service]

    rated = subprocess.run(command, capture_output=True, text=True)

    assert rated.returncode == 0, rated.stdout
    assert float(re.findall(r"Overall exposure level for \S+: ([\d.]+)", rated.stdout)[0]) <= 3.0


def test_a_stop_waits_longer_than_the_server_for_its_requests():
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)$", (UNITS / "school-web.service").read_text(), re.MULTILINE)

    assert int(seconds) > 2 * SHUTDOWN_TIMEOUT


def test_every_service_runs_a_command_of_school():
    started = re.findall(r"manage\.py (\w+)", "".join(path.read_text() for path in UNITS.glob("*.service")))

    assert set(started) - set(get_commands()) == set()
    assert len(started) == len(SERVICES)
