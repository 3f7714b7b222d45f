"""OneRoster conforms to the OpenAPI document of the standard, for generated requests of every operation."""

import pytest
from hypothesis import HealthCheck, settings
from schemathesis import checks

from oneroster.publishing import publish
from students.enrollment.actor_context import ActorContext
from students.models import Channel
from tests.oneroster.rosters import V1P2, Roster, document, make_roster
from tests.support.contract import connection_kept, load
from tools.fuzz import count, examples

schema = load({**document(), "servers": [{"url": V1P2}]})
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture
def roster_and_token(make_client):
    """Return a roster that is published, and a token."""
    client = make_client("rosters:read")
    roster = make_roster(ActorContext(Channel.SYSTEM))
    publish()
    with connection_kept():
        yield roster, client._credentials["HTTP_AUTHORIZATION"]


def ids_of_path(roster: Roster, path: str) -> dict[str, str]:
    """Return an id that exists for each parameter of a path of the document."""
    return {**roster.parameters(), "sourcedId": roster.single(path.split("/")[1])}


@schema.parametrize()
@settings(
    max_examples=examples(12),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_oneroster_conforms_to_the_document_of_the_standard(case, roster_and_token):
    count()
    roster, token = roster_and_token
    for exists in (False, True):
        if exists:
            ids = ids_of_path(roster, case.operation.path)
            case.path_parameters = {name: ids[name] for name in case.path_parameters or {}}
        response = case.call(headers={"Authorization": token, "Host": "localhost"})

        # An object of which only some fields are selected lacks required members.
        is_partial = response.status_code == 200 and "fields" in (case.query or {})
        case.validate_response(response, checks=CHECKS[:3] if is_partial else CHECKS)
