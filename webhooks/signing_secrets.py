"""
The secrets of endpoints, and the signatures by Standard Webhooks 1.0.0.

A secret is shown once, and stored encrypted by a key that is derived from ``SECRET_KEY``. After a change of
``SECRET_KEY``, the keys in ``SECRET_KEY_FALLBACKS`` still decrypt it, and the housekeeping encrypts it anew.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac

PREFIX = "whsec_"
SECRET_BYTES = 32


class UnreadableSecret(Exception):
    """A secret was encrypted with a key that is neither ``SECRET_KEY`` nor one of its fallbacks."""


def new_secret() -> str:
    """Return a random secret as the receiver gets it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def encrypt(secret: str) -> str:
    return _cipher().encrypt(secret.encode()).decode()


def decrypt(stored: str) -> str:
    """Return a stored secret; raise ``UnreadableSecret``."""
    try:
        return _cipher().decrypt(stored.encode()).decode()
    except InvalidToken:
        raise UnreadableSecret from None


def encrypt_anew(stored: str) -> str:
    """Return a stored secret, encrypted with the current ``SECRET_KEY``; raise ``UnreadableSecret``."""
    return encrypt(decrypt(stored))


def is_current(stored: str) -> bool:
    """Return True if a stored secret is encrypted with the current ``SECRET_KEY``."""
    try:
        _fernet(settings.SECRET_KEY).decrypt(stored.encode())
    except InvalidToken:
        return False
    return True


def _cipher() -> MultiFernet:
    return MultiFernet([_fernet(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


def _fernet(key: str) -> Fernet:
    digest = salted_hmac("webhooks.signing_secrets", "", secret=key, algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(digest))


def sign(signing_keys: Iterable[str], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header ``webhook-signature``: a signature for each secret, separated by blanks."""
    content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    signatures = []
    for secret in signing_keys:
        key = base64.b64decode(secret.removeprefix(PREFIX))
        signatures.append("v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode())
    return " ".join(signatures)
