"""
Creates the callers of the measured requests: a client, a client that is limited to a term, and a staff user with a
session.
"""

import time

from django.contrib.auth.models import Group, User
from django.test import Client

from bench.extra_rows import receive_imports
from courses.api_client_creation import create_api_client
from school.models import ApiClient

SCOPES = "students:read courses:read enrollments:read enrollments:write enrollments:waive changes:read imports:read"
HOST = "localhost"  # a host that Django accepts


def make_callers(term: str) -> dict[str, dict[str, str]]:
    """Create the callers in the database; return the headers of each."""
    return {"client": _client("bench"), "limited": _client("bench limited", term), "staff": _session()}


def _client(name: str, *terms: str) -> dict[str, str]:
    keys = create_api_client(name, SCOPES, terms=terms)
    form = {"client_id": keys.client_id, "client_secret": keys.client_secret}
    answer = Client(SERVER_NAME=HOST).post("/oauth/token", {"grant_type": "client_credentials", **form})
    receive_imports(ApiClient.objects.get(client_id=keys.client_id).user)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def _session() -> dict[str, str]:
    user = User.objects.create_user("bench", is_staff=True)
    user.groups.add(Group.objects.get(name="Registrar"))
    client = Client(SERVER_NAME=HOST)
    client.force_login(User.objects.get(pk=user.pk), "school.accounts.backends.StaffBackend")
    session = client.session
    session["began"] = int(time.time())
    session.save()
    client.get("/admin/")  # sets the CSRF cookie
    cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in client.cookies.items())
    return {"Cookie": cookies, "X-CSRFToken": client.cookies["csrftoken"].value}
