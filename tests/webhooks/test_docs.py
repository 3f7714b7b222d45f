"""The receivers in docs/api/webhooks.md verify the messages that are delivered."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings

from tests.support.receiver import receiving
from tests.support.serving import free_port
from webhooks.models import Attempt, Endpoint
from webhooks.signing_secrets import new_secret

PAGE = (Path(settings.BASE_DIR) / "docs/api/webhooks.md").read_text()


def code(language):
    [found] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


def test_the_receiver_in_python_is_short():
    assert len(code("python").splitlines()) <= 30


@pytest.mark.parametrize("is_right", [True, False])
def test_the_receiver_in_python_accepts_messages_with_its_secret(
    endpoint_of, deliver, enroll_students, tmp_path, is_right
):
    with receiving() as receiver:
        receiver.port = free_port()
        endpoint = endpoint_of(receiver)
    program = tmp_path / "receiver.py"
    program.write_text(code("python"))
    secret = endpoint.plain_secret if is_right else new_secret()
    environment = {**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(receiver.port)}
    process = subprocess.Popen(
        [sys.executable, program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        enroll_students(2)
        for _ in range(50):
            Endpoint.objects.update(next_attempt_at="2026-01-01T00:00Z")
            deliver()
            if Attempt.objects.exclude(status=None).exists():
                break
            time.sleep(0.2)
    finally:
        process.terminate()
        printed = process.communicate()[0].splitlines()
    assert [line.split()[0] for line in printed] == (["enrollment.created"] * 2 if is_right else [])
    statuses = Attempt.objects.exclude(status=None).order_by("pk").values_list("status", flat=True)
    assert list(statuses) == ([204, 204] if is_right else [401])


@pytest.mark.parametrize("fault", ["", "body", "secret", "old"])
def test_the_receiver_in_shell_verifies(endpoint_of, deliver, enroll_students, tmp_path, fault):
    with receiving() as receiver:
        endpoint = endpoint_of(receiver)
        enroll_students(1)
        deliver()
    [request] = receiver.requests
    (tmp_path / "body").write_bytes(request.body + (b" " if fault == "body" else b""))
    values = {
        "WEBHOOK_SECRET": new_secret() if fault == "secret" else endpoint.plain_secret,
        "id": request.headers["webhook-id"],
        "timestamp": str(int(request.headers["webhook-timestamp"]) - (400 if fault == "old" else 0)),
        "signature": f"v1,b3RoZXI= {request.headers['webhook-signature']}",
    }
    result = subprocess.run(
        ["sh", "-c", code("sh")],
        cwd=tmp_path,
        env={**os.environ, **values},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.stdout.strip(), result.returncode) == {
        "": ("verified", 0),
        "old": ("too old or too new", 1),
    }.get(fault, ("wrong signature", 1))
