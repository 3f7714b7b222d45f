"""
Reads the variables of the environment.

Each variable ``NAME`` can also be given as ``NAME_FILE``, the path of a file that has the value, as containers and
systemd hand out secrets. Errors contain no value, which may be a password.
"""

from io import StringIO
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping

# The default of LOCK_TIMEOUT and DATABASE_TIMEOUT, in seconds; 0: commands and workers wait. It is the only default
# that depends on the entry point: the WSGI application sets it to 5 before the settings are read.
default_timeout = 0


class VariablesAndFiles(FileAwareMapping):
    """The environment; the value of ``NAME`` may be in the file ``NAME_FILE``, without the blanks at its ends."""

    def __getitem__(self, key: str) -> str:
        path = self.env.get(f"{key}_FILE")
        if path and self.env.get(key):
            raise ImproperlyConfigured(f"Set {key} or {key}_FILE, not both.")
        try:
            value: str = super().__getitem__(key)
        except (OSError, UnicodeError) as error:
            raise ImproperlyConfigured(f"Cannot read {key}_FILE, {path}: {_reason(error)}.") from None
        value = value.strip() if path else value
        # Django-environ takes a value that begins with an unescaped $ for the name of another variable.
        return value.replace("$", r"\$")


class Environment(environ.Env):
    """Reads the variables of docs/settings.md. Raises ``ImproperlyConfigured`` with one sentence."""

    ENVIRON = VariablesAndFiles()

    def __init__(self) -> None:
        super().__init__()
        self.escape_proxy = True

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().get_value(var, *args, **kwargs)
        except ValueError:
            raise ImproperlyConfigured(f"{var} must be a number.") from None

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.str(name, default=str(default)).lower()
        if value not in ("true", "false"):
            raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")
        return bool(value == "true")

    def number(self, name: str, *, default: int, at_least: int, at_most: int | None = None) -> int:
        """Return an integer between two limits, which the error names."""
        value: int = self.int(name, default=default)
        if at_most is not None and not at_least <= value <= at_most:
            raise ImproperlyConfigured(f"{name} must be from {at_least} to {at_most}.")
        if value < at_least:
            raise ImproperlyConfigured(f"{name} must be {at_least} or more.")
        return value

    def load(self, path: str) -> None:
        """Read the file with variables that the environment does not have, if there is one."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except (OSError, UnicodeError) as error:
            raise ImproperlyConfigured(f"Cannot read the settings in {path}: {_reason(error)}.") from None
        self.read_env(StringIO(text))


def _reason(error: OSError | UnicodeError) -> str:
    return str(error.strerror) if isinstance(error, OSError) else "it is not UTF-8"
