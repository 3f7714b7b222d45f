"""
Compare docs/openapi.yaml with the code, or write it: `python -m tools.openapi --write`.

Integrators generate clients from the committed document, and reviewers read its changes.
"""

import difflib
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from school.api.openapi.compact_yaml import compact

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "docs" / "openapi.yaml"


def generated() -> str:
    """
    Generate the document from the code; raise ``CalledProcessError`` if drf-spectacular reports an error or a warning.
    """
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        command = [sys.executable, "manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", file.name]
        subprocess.run(command, cwd=ROOT, check=True)
        return compact(yaml.safe_load(file))


def main(arguments: list[str]) -> int:
    try:
        document = generated()
    except subprocess.CalledProcessError as error:
        return error.returncode
    if "--write" in arguments:
        COMMITTED.write_text(document)
        return 0
    committed = COMMITTED.read_text() if COMMITTED.exists() else ""
    lines = committed.splitlines(), document.splitlines()
    difference = list(difflib.unified_diff(*lines, "committed", "code", lineterm=""))
    print("\n".join(difference[:200]))
    if difference:
        print("docs/openapi.yaml is not what the code says: run `make openapi`.", file=sys.stderr)
    return int(bool(difference))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
