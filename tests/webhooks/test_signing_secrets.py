"""Secrets are stored encrypted, and signatures are those of Standard Webhooks."""

import base64
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from webhooks.signing_secrets import (
    UnreadableSecret,
    decrypt,
    encrypt,
    encrypt_anew,
    is_current,
    new_secret,
    sign,
)

NEW_KEY = "another-key-of-at-least-fifty-characters-0123456789-abc"
BODY = '{"type":"ping","text":"Zoë"}'.encode()


def headers_of(*signing_keys, body=BODY):
    now = int(time.time())
    signature = sign(signing_keys, "msg_1", now, body)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signature}


def test_a_secret_has_the_form_of_the_specification():
    secret = new_secret()

    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert secret != new_secret()


def test_the_public_library_verifies_the_signature():
    secret = new_secret()

    assert Webhook(secret).verify(BODY, headers_of(secret)) == {"type": "ping", "text": "Zoë"}


def test_the_public_library_makes_the_same_signature():
    secret = new_secret()

    assert sign([secret], "msg_1", 1_700_000_000, BODY) == Webhook(secret).sign(
        "msg_1", datetime.fromtimestamp(1_700_000_000, UTC), BODY.decode()
    )


def test_another_secret_or_body_does_not_verify():
    secret = new_secret()

    for changed in ((Webhook(new_secret()), BODY), (Webhook(secret), BODY + b" ")):
        with pytest.raises(WebhookVerificationError):
            changed[0].verify(changed[1], headers_of(secret))


def test_during_a_rotation_both_secrets_verify():
    old, new = new_secret(), new_secret()
    headers = headers_of(new, old)

    assert [Webhook(each).verify(BODY, headers)["type"] for each in (old, new)] == ["ping", "ping"]
    assert len(headers["webhook-signature"].split(" ")) == 2


def test_a_secret_is_stored_encrypted():
    secret = new_secret()
    stored = encrypt(secret)

    assert (secret in stored, secret.removeprefix("whsec_") in stored) == (False, False)
    assert decrypt(stored) == secret


def test_after_a_change_of_the_key_the_fallback_decrypts_until_the_secret_is_encrypted_anew(settings):
    secret, old_key = new_secret(), settings.SECRET_KEY
    stored = encrypt(secret)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW_KEY, [old_key]

    assert (decrypt(stored), is_current(stored)) == (secret, False)

    renewed = encrypt_anew(stored)
    settings.SECRET_KEY_FALLBACKS = []
    assert (decrypt(renewed), is_current(renewed)) == (secret, True)
    with pytest.raises(UnreadableSecret):
        decrypt(stored)
