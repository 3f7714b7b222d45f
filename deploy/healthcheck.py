"""
The health check of the container: asks the server in it for /health, as a load balancer does.

The request names a host of ALLOWED_HOSTS, so that it is answered by whatever is in front of the health view. The exit
code is 0 if the answer is 200, else 1 with one line.
"""

import os
import sys
import urllib.error
import urllib.request

ADDRESS = "http://127.0.0.1:8000/health"
TIMEOUT = 7  # seconds; School answers within 6, whatever the state of the database


def host() -> str:
    """Return the first host of ALLOWED_HOSTS; for a pattern such as ``.school.example`` the name without the dot."""
    name = os.environ.get("ALLOWED_HOSTS", "").partition(",")[0].strip().lstrip(".")
    return name if name not in ("", "*") else "localhost"


def main() -> str | None:
    """Return None if the server is healthy, else the reason."""
    request = urllib.request.Request(ADDRESS, headers={"Host": host()})  # a fixed address
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            answer.read()
    except urllib.error.HTTPError as error:
        return f"{ADDRESS} answered {error.code}."
    except OSError as error:
        return f"{ADDRESS} does not answer: {error}."
    return None


if __name__ == "__main__":
    sys.exit(main())
