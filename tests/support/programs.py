"""Programs of Debian that some tests need."""

import os
import shutil

import pytest


def find_program(name: str) -> str | None:
    """Return the path of a program, also of one for root."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def require(name: str, package: str) -> str:
    """Return the path of a program. Without it, skip the test, or fail with REQUIRE_ALL=1."""
    path = find_program(name)
    if path is None:
        message = f"There is no {name} on this machine: install {package}."
        if os.environ.get("REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return path
