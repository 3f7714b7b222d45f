"""A pytest plugin that sets the environment before the settings load: tests read no .env and need no variables."""

import atexit
import os
import shutil
import tempfile

os.environ["ENV_FILE"] = os.devnull
os.environ["SECRET_KEY"] = "only-for-tests-on-databases-that-are-removed-at-the-end"
os.environ["HTTPS"] = "false"
os.environ["LOG_LEVEL"] = "INFO"
os.environ["LOG_JSON"] = "true"
os.environ["TIME_ZONE"] = "UTC"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright's event loop runs in the thread that uses the database
# Tests exceed the rate limits and change cached tokens; tests of rate limits and of the cache set their own values.
os.environ.update(dict.fromkeys(("API_RATE_CLIENT", "API_RATE_ANONYMOUS", "API_RATE_FAILED"), "100000000"))
os.environ["TOKEN_CACHE_SECONDS"] = "0"
os.environ["REFUSALS_SECONDS"] = "0"  # otherwise a thread would write outside the transaction of the test
os.environ.setdefault("DATABASE_URL", "sqlite:///:memory:")
# The workers of a run share a folder: for their logs, which the run scans at the end, and for the migrated database.
if "TEST_FOLDER" not in os.environ:
    os.environ["TEST_FOLDER"] = tempfile.mkdtemp(prefix="school-tests-")
    atexit.register(shutil.rmtree, os.environ["TEST_FOLDER"], ignore_errors=True)
