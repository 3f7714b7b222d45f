"""Creates API clients, which may be limited to terms and courses."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils.translation import gettext as _
from oauth2_provider.generators import generate_client_id, generate_client_secret

from courses.lookup import find_course, find_term
from school.models import ApiClient
from school.refusals import Refusal, Refused


@dataclass(frozen=True, slots=True)
class Credentials:
    client_id: str
    client_secret: str


@transaction.atomic
def create_api_client(name: str, scope: str, *, terms: Iterable[str] = (), courses: Iterable[str] = ()) -> Credentials:
    """
    Create a client with its own service account, and return its credentials: the secret is stored only as a hash.

    ``scope`` lists the scopes that the client may request, separated by spaces. Codes of ``terms`` or keys of
    ``courses`` (``MATH-101@2026F``) limit the client to them. Raise ``Refused`` for an unknown scope, term or course,
    for a name that is blank or too long, and for a name that is taken.
    """
    scopes = scope.split()
    known = settings.SCOPES
    unknown = [each for each in scopes if each not in known]
    refusals = []
    if unknown or not scopes:
        message = _("Unknown scope: %(unknown)s. Known: %(known)s.")
        parts = {"unknown": ", ".join(unknown) or "–", "known": ", ".join(known)}
        refusals.append(Refusal("unknown_scope", message % parts))
    username = f"client:{name}"
    if not name.strip() or len(username) > 150:
        refusals.append(Refusal("invalid_name", _("The client needs a name of at most 143 characters.")))
    elif get_user_model().objects.filter(username=username).exists():
        refusals.append(Refusal("unique", _("A client named %(name)s already exists.") % {"name": name}))
    if refusals:
        raise Refused(refusals)
    allowed_terms = [find_term(f"code:{code}") for code in terms]
    allowed_courses = [find_course(f"code:{key}") for key in courses]
    credentials = Credentials(generate_client_id(), generate_client_secret())
    account = get_user_model().objects.create_user(username=username)  # without a password, so nobody can log in
    client = ApiClient.objects.create(
        name=name,
        is_limited=bool(allowed_terms or allowed_courses),
        user=account,
        scope=" ".join(scopes),
        client_id=credentials.client_id,
        client_secret=credentials.client_secret,
        client_type=ApiClient.CLIENT_CONFIDENTIAL,
        authorization_grant_type=ApiClient.GRANT_CLIENT_CREDENTIALS,
    )
    client.terms.set(allowed_terms)
    client.courses.set(allowed_courses)
    return credentials
