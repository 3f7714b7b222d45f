"""A pytest plugin that is loaded before Django's settings: tests read no .env and need no variables set by hand."""

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
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright's loop runs in the thread that asks the database
# Tests ask more than anybody may in a minute, and change what tokens stand for; what is about either sets it itself.
os.environ.update(dict.fromkeys(("API_RATE_CLIENT", "API_RATE_ANONYMOUS", "API_RATE_FAILED"), "100000000"))
os.environ["TOKEN_CACHE_SECONDS"] = "0"
os.environ["REFUSALS_SECONDS"] = "0"  # a thread of its own would write beside the transaction that a test lives in
os.environ.setdefault("DATABASE_URL", "sqlite:///:memory:")
# All workers of a run write their logs here, and the run ends with a look through all of them.
if "TEST_LOGS" not in os.environ:
    os.environ["TEST_LOGS"] = tempfile.mkdtemp(prefix="school-test-logs-")
    atexit.register(shutil.rmtree, os.environ["TEST_LOGS"], ignore_errors=True)
