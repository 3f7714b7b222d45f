"""Run all static checks, and print one line for each."""

import os
import subprocess
import sys
from pathlib import Path

PRODUCTION = {
    "ENV_FILE": os.devnull,
    "SECRET_KEY": "a-key-as-long-and-as-mixed-as-in-production-0123456789-abcdefgh",
    "DATABASE_URL": "sqlite:///:memory:",
    "ALLOWED_HOSTS": "school.example",
    "BEHIND_TLS_PROXY": "true",
    "TRUSTED_PROXIES": "1",
}
MANAGE: list[str | Path] = [sys.executable, "manage.py"]
BIN = Path(sys.executable).parent

# The licenses of allowed libraries. A library under the LGPL is allowed because it is used unchanged.
# axe-playwright-python is allowed without a license in its metadata, because its source is under the MIT License.
ALLOWED_LICENSES = "Apache;BSD;ISC;LGPL;MIT;MPL;Mozilla;PSF"
LICENSES: list[str | Path] = [
    *(BIN / "pip-licenses", "--python", sys.executable, "--from=mixed", "--ignore-packages", "axe-playwright-python"),
    *("--partial-match", "--allow-only", ALLOWED_LICENSES),
]

CHECKS: dict[str, list[str | Path]] = {
    "format": [BIN / "ruff", "format", "--check", "--quiet", "."],
    "lint": [BIN / "ruff", "check", "--quiet", "."],
    "types": [BIN / "mypy", "--no-error-summary"],
    "layers": [BIN / "lint-imports"],
    "migrations": [*MANAGE, "makemigrations", "--check", "--dry-run"],
    "deployment": [*MANAGE, "check", "--deploy", "--fail-level", "WARNING"],
    "OpenAPI": [sys.executable, "-m", "tools.openapi"],
    "messages": [sys.executable, "-m", "tools.messages"],
    "language": [sys.executable, "-m", "tools.language"],
    "licenses": LICENSES,
}


def main() -> int:
    failed = False
    for name, command in CHECKS.items():
        result = subprocess.run(command, env={**os.environ, **PRODUCTION}, capture_output=True, text=True, check=False)
        print(f"{name:<12} {'ok' if result.returncode == 0 else 'FAILED'}", flush=True)
        if result.returncode != 0:
            print(result.stdout, result.stderr, flush=True)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
