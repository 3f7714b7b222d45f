"""Find personal data in logs."""

import re

from tests.support.factories import CANARY

# The canary of the factories, and patterns of other personal data.
PERSONAL = re.compile(rf"{CANARY}|[\w.+-]+@[\w-]+\.\w+|number:", re.IGNORECASE)


def leaks_in(text: str) -> list[str]:
    """Return the log lines that contain a name, an email address or a student number."""
    return [line for line in text.splitlines() if PERSONAL.search(line)]
