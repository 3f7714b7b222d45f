"""The command that ``make run`` runs after the packages are installed: a server and a worker with demo data."""

import io
import json
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, transaction
from oauth2_provider.generators import generate_client_secret

from courses.api_client_creation import Credentials, create_api_client
from school.commands.base import SafeCommand
from school.models import ApiClient
from school.refusals import Refused
from school.server import (
    ServerStartError,
    check_https,
    check_port,
    parse_port,
    server_command_line,
    worker_command_line,
)

HOST = "127.0.0.1"
STAFF = "registrar"
CLIENT = "demo"
PATIENCE = 60  # seconds


def demo_keys(path: Path) -> dict[str, str]:
    """
    Return the staff user's password and the API client's credentials, from a file that only its owner can read.

    If the file, the user or the client is missing, or the file and the client disagree, the missing user and client are
    created, both get a new secret, and the file is written again.
    """
    if (stored_keys := _stored_keys(path)) and _are_valid(stored_keys):
        return stored_keys
    # Write under another name and rename the complete file: an incomplete file would be worse than none.
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f"{path.name}.", delete=False) as draft:
        try:
            with transaction.atomic():
                keys = _new_keys()
                json.dump(keys, draft)
                draft.flush()
            Path(draft.name).replace(path)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise
    return keys


def _stored_keys(path: Path) -> dict[str, str] | None:
    try:
        keys = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    names = {"password", "client_id", "client_secret"}
    return keys if isinstance(keys, dict) and keys.keys() >= names else None


def _are_valid(keys: dict[str, str]) -> bool:
    """
    Return True if the user exists and these are the credentials of the client.

    The password is not checked, as the user may have changed it.
    """
    client = ApiClient.objects.filter(client_id=keys["client_id"]).first()
    has_user = get_user_model().objects.filter(username=STAFF).exists()
    return has_user and client is not None and check_password(keys["client_secret"], client.client_secret)


def _new_keys() -> dict[str, str]:
    password = secrets.token_urlsafe(12)
    user = get_user_model().objects.filter(username=STAFF).first() or get_user_model()(username=STAFF)
    user.is_staff = True
    user.set_password(password)
    user.save()
    user.groups.add(Group.objects.get(name="Registrar"))
    client = ApiClient.objects.filter(user__username=f"client:{CLIENT}").first()
    if client is None:
        credentials = create_api_client(CLIENT, " ".join(settings.SCOPES))
    else:
        credentials = Credentials(client.client_id, generate_client_secret())
        # A new secret is needed, because only a hash of the old one is stored.
        client.client_secret = credentials.client_secret
        client.save()
    return {"password": password, "client_id": credentials.client_id, "client_secret": credentials.client_secret}


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


class Command(SafeCommand):
    help = "Migrate, fill an empty database with demo data, start the server, and print the logins."
    examples = ("run_demo", "run_demo --port 8080")
    interrupted_message = "Run the command again to continue."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", default="8000", help="The port to listen on (default: 8000).")

    def handle(self, *, port: str, **options: Any) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # write each line immediately, also to a pipe or a file
        try:
            number = parse_port(str(port))
            check_https()
            check_port(HOST, number)
            self.stdout.write("Preparing the database …")
            call_command("migrate", verbosity=0)
            call_command("seed_demo", if_empty=True)
            keys = demo_keys(settings.BASE_DIR / ".demo.json")
        except (ServerStartError, Refused, OSError) as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The database at {settings.DATABASES['default']['NAME']}: {error}.") from None
        server = subprocess.Popen(server_command_line(host=HOST, port=number, workers=1, threads=4))
        worker = subprocess.Popen(worker_command_line())
        signal.signal(signal.SIGTERM, _stop)
        try:
            token = self._token(server, f"http://{HOST}:{number}", keys)
            self._welcome(f"http://{HOST}:{number}", keys, token)
            server.wait()
        except KeyboardInterrupt:
            pass
        finally:
            server.terminate()
            worker.terminate()  # the worker ends after its current import
            server.wait()
            worker.wait()
        self.stdout.write("\nStopped. The data is kept.")
        if server.returncode > 0:
            sys.exit(server.returncode)

    def _token(self, server: "subprocess.Popen[bytes]", base: str, keys: dict[str, str]) -> str:
        """Request a token until the server answers; raise ``CommandError`` if the server does not start in time."""
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
School is running.

  Admin     {base}/admin/   user: {STAFF}   password: {keys["password"]}
  API docs  {base}/api/docs

In the API docs, choose "Authorize" and paste one of:

  bearerAuth  {token}
  oauth2      client id {keys["client_id"]}
              client secret {keys["client_secret"]}

A student's courses, with a token for the next hour:

  curl -H "Authorization: Bearer {token}" {base}/api/v1/students/number:S-1042/courses

Stop with Ctrl-C. The data is kept.
"""
        )
