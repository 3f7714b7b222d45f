"""Looking for personal data in logs."""

import re

from tests.factories import CANARY

# The canary of the factories, and what personal data looks like wherever else it came from.
PERSONAL = re.compile(rf"{CANARY}|[\w.+-]+@[\w-]+\.\w+|number:", re.IGNORECASE)


def leaks_in(text: str) -> list[str]:
    """Return the lines of a log that hold a name, an email address or a student number."""
    return [line for line in text.splitlines() if PERSONAL.search(line)]
