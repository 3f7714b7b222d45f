"""
Hostile requests to the token endpoint.

It responds with the error codes of RFC 6749, 5.2.
"""

from base64 import b64encode

import pytest

from tests.hostile.cases import row_counts

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"
GRANT = "grant_type=client_credentials"
CREDENTIALS = {
    "nothing": b"",
    "no colon": b"ab",
    "colons": b":::",
    "NUL": b"a\0b:c\0d",
    "bad UTF-8": b"\xff\xfe:\xff",
    "an unpaired surrogate": b"\xed\xa0\x80:b",
    "a percent-encoded unpaired surrogate": b"%ED%A0%80:b",
    "a percent-encoded NUL": b"%00:%00",
    "8,000 characters": b"a" * 6_000 + b":b",
    "a line break": b"a\r\nb:c",
}
HEADERS = [
    "Basic",
    "Basic ",
    "Basic !!!",
    "Basic AAA",
    "Basic \x80",
    "Digest x",
    "Bearer x",
    "x" * 8_000,
    "Basic AAA6AAA= x",
]
BODIES = {
    "nothing": ("", FORM, 400),
    "no grant": ("a=b", FORM, 400),
    "another grant": ("grant_type=password&username=a&password=b", FORM, 400),
    "a grant twice": (f"{GRANT}&{GRANT}", FORM, 400),
    "NUL": (f"{GRANT}&client_id=%00", FORM, 400),
    "NUL in a name": (f"{GRANT}&%00=a", FORM, 400),
    "bad UTF-8": (f"{GRANT}&client_id=%FF", FORM, 401),
    "an unpaired surrogate": (f"{GRANT}&client_id=%ED%A0%80", FORM, 401),
    "a scope of 100,000": (f"{GRANT}&scope={'a+' * 50_000}", FORM, 401),
    "2,501 fields": ("&".join(f"a{n}=1" for n in range(2_501)), FORM, 400),
    "JSON": ('{"grant_type": "client_credentials"}', "application/json", 400),
    "another charset": (GRANT, f"{FORM}; charset=utf-16", 415),
    "a body too large": (GRANT + "a" * 2_700_000, FORM, 413),
    "a malformed form": ("x", "multipart/form-data; boundary=a", 400),
    "no boundary": ("x", "multipart/form-data", 400),
}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_invalid_client_credentials_return_401_and_write_nothing(client, name):
    before = row_counts()
    shown = b64encode(CREDENTIALS[name]).decode()

    answer = client.generic("POST", "/oauth/token", GRANT, FORM, headers={"Authorization": f"Basic {shown}"})

    assert (answer.status_code, answer.json()["error"], row_counts()) == (401, "invalid_client", before)


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: ascii(header[:20]))
def test_an_invalid_authorization_header_returns_401_and_writes_nothing(client, header):
    before = row_counts()

    answer = client.generic("POST", "/oauth/token", GRANT, FORM, headers={"Authorization": header})

    assert (answer.status_code, answer.json()["error"], row_counts()) == (401, "invalid_client", before)


@pytest.mark.parametrize("name", BODIES)
def test_an_invalid_token_request_body_is_rejected_and_writes_nothing(client, name):
    body, kind, status = BODIES[name]
    before = row_counts()

    answer = client.generic("POST", "/oauth/token", body, kind)

    assert (answer.status_code, row_counts()) == (status, before)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"])
def test_methods_other_than_post_return_405(client, method):
    assert client.generic(method, "/oauth/token", GRANT, FORM).status_code == 405
