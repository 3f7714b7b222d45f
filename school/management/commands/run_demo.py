"""What ``make run`` runs once the packages are there."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from school.clients import create_api_client
from school.server import PortTaken, check_port, command_line

HOST = "127.0.0.1"
STAFF = "registrar"
PATIENCE = 60  # seconds


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


class Command(BaseCommand):
    help = "Migrate, fill an empty database with demo data, serve it, and say how to get in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *, port: int, **options: Any) -> None:
        try:
            check_port(HOST, port)
            call_command("migrate", verbosity=0)
            call_command("seed_demo", if_empty=True)
            keys = self._keys(settings.BASE_DIR / ".demo.json")
        except (PortTaken, OSError) as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The database at {settings.DATABASES['default']['NAME']}: {error}.") from None
        server = subprocess.Popen(command_line(host=HOST, port=port, workers=1, threads=4))
        signal.signal(signal.SIGTERM, _stop)
        try:
            token = self._token(server, f"http://{HOST}:{port}", keys)
            self._welcome(f"http://{HOST}:{port}", keys, token)
            server.wait()
        except KeyboardInterrupt:
            pass
        finally:
            server.terminate()
            server.wait()
        self.stdout.write("\nStopped. The data is kept.")
        if server.returncode > 0:
            sys.exit(server.returncode)

    def _keys(self, path: Path) -> dict[str, str]:
        """Make the staff user and the API client once; keep what was generated in a file that only its owner reads."""
        if path.exists():
            keys: dict[str, str] = json.loads(path.read_text())
            if get_user_model().objects.filter(username=STAFF).exists():
                return keys
        user = get_user_model()(username=STAFF, is_staff=True)
        password = secrets.token_urlsafe(12)
        user.set_password(password)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            user.save()
            user.groups.add(Group.objects.get(name="Registrar"))
            client = create_api_client("demo", " ".join(settings.SCOPES))
            keys = {"password": password, "client_id": client.client_id, "client_secret": client.client_secret}
            json.dump(keys, file)
        return keys

    def _token(self, server: "subprocess.Popen[bytes]", base: str, keys: dict[str, str]) -> str:
        """Ask the server for a token until it is up; raise ``CommandError`` where it does not come up."""
        basic = b64encode(f"{keys['client_id']}:{keys['client_secret']}".encode()).decode()
        ask = Request(
            f"{base}/oauth/token", data=b"grant_type=client_credentials", headers={"Authorization": f"Basic {basic}"}
        )
        for _attempt in range(PATIENCE * 10):
            if server.poll() is not None:
                raise CommandError("The server did not start.")
            try:
                with urlopen(ask, timeout=5) as answer:
                    return str(json.load(answer)["access_token"])
            except URLError as error:
                if hasattr(error, "code"):
                    raise CommandError(f"No token for the demo client: {error}.") from None
                time.sleep(0.1)
        raise CommandError(f"The server did not answer within {PATIENCE} s.")

    def _welcome(self, base: str, keys: dict[str, str], token: str) -> None:
        self.stdout.write(
            f"""
School is at work.

  Admin     {base}/admin/   user: {STAFF}   password: {keys["password"]}
  API docs  {base}/api/docs

A student's courses, with a token for the next hour:

  curl -H "Authorization: Bearer {token}" {base}/api/v1/students/number:S-1042/courses

Stop with Ctrl-C. The data stays.
"""
        )
