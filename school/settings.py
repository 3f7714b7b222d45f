"""
Django settings, read from the environment or from the file ``.env``.

All variables are listed in docs/settings.md. A missing or malformed one stops the start with a one-sentence error.
"""

import warnings
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured
from psycopg import IsolationLevel

from school.accounts import settings as accounts
from school.api.settings import OAUTH2_PROVIDER, REST_FRAMEWORK, SCOPES, SPECTACULAR_SETTINGS  # noqa: F401  # read by libraries
from school.desk.theme import UNFOLD  # read by the theme of the admin
from school.http.client_ip import parse_trusted_proxies
from school.observability.logging import logging_config

BASE_DIR = Path(__file__).resolve().parent.parent


class Env(environ.Env):
    """Reads variables. The error for a malformed one does not contain the value, which may be a password."""

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().get_value(var, *args, **kwargs)
        except ValueError:
            raise ImproperlyConfigured(f"{var} must be a number.") from None


env = Env()


def read_file(path: str) -> None:
    """Read variables from a file. Ignore a missing file; raise ``ImproperlyConfigured`` for an unreadable one."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ImproperlyConfigured(f"Cannot read the settings in {path}: {reason}.") from None
    env.read_env(StringIO(text))


def flag(name: str, *, default: bool) -> bool:
    value = env.str(name, default=str(default)).lower()
    if value not in ("true", "false"):
        raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")
    return value == "true"


read_file(env.str("ENV_FILE", default=str(BASE_DIR / ".env")))

# Security

DEBUG = flag("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
if len(SECRET_KEY) < 50:
    raise ImproperlyConfigured(
        "SECRET_KEY must have 50 or more characters. Anyone with the key can log in as any user."
    )
# Former keys, only for verifying old signatures. Blank keys are dropped: anybody could sign with one.
SECRET_KEY_FALLBACKS = [key for key in env.list("SECRET_KEY_FALLBACKS", default=[]) if key.strip()]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

HTTPS = flag("HTTPS", default=True)
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health(/|$)", r"^metrics$"]  # probed within the local network, over plain HTTP
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
# A browser accepts a cookie with this prefix only over HTTPS and from this host: no sibling domain can set one.
_COOKIE_PREFIX = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{_COOKIE_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{_COOKIE_PREFIX}csrftoken"
LANGUAGE_COOKIE_NAME = f"{_COOKIE_PREFIX}django_language"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # not in cookies: messages name students
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
TRUSTED_PROXIES = parse_trusted_proxies(env.str("TRUSTED_PROXIES", default="0"))
if flag("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    if not TRUSTED_PROXIES:
        # All clients would appear with the proxy's address, and five wrong passwords would lock the name for everybody.
        raise ImproperlyConfigured("BEHIND_TLS_PROXY=true needs TRUSTED_PROXIES: 1 for one proxy, or its networks.")

# Applications and middleware

INSTALLED_APPS = [
    "axes",
    "school",
    "bulk",
    "courses",
    "students",
    "oneroster",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.simple_history",
    "school.apps.SchoolAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_filters",
    "django_structlog",
    "django_tasks",
    "django_tasks_db",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "oauth2_provider",
    "rest_framework",
    "simple_history",
]

# Requests from programs, load balancers and Prometheus have their own middleware: docs/decisions/0037.
API_PREFIXES = ("/api/", "/oauth/", "/ims/", "/health", "/metrics")
API_MIDDLEWARE = [
    "school.http.middleware.RequestLogMiddleware",  # first, so that every response has the request id
    "oneroster.middleware.StandardErrorsMiddleware",  # before all middleware that can answer with an error
    "school.http.csp.ContentSecurityPolicyMiddleware",
    "school.http.middleware.CacheControlMiddleware",
    "school.http.middleware.RequestLimitsMiddleware",
    "school.http.middleware.ProbeMiddleware",  # before all middleware that checks the host
    "school.http.rate_limit.RateLimitMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "school.i18n.middleware.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "bulk.upload_permission.UploadPermissionMiddleware",  # before the CSRF check of the view, which reads the file
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "axes.middleware.AxesMiddleware",  # last, so that it can replace the response for a locked client
]
MIDDLEWARE = [
    "school.http.api_middleware.ApiMiddleware",  # handles requests under API_PREFIXES by API_MIDDLEWARE
    "school.http.middleware.RequestLogMiddleware",  # first, so that every response has the request id
    "school.http.csp.ContentSecurityPolicyMiddleware",
    "school.http.middleware.RequestLimitsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "school.i18n.middleware.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "bulk.upload_permission.UploadPermissionMiddleware",  # before CsrfViewMiddleware, which reads the file
    "django.middleware.csrf.CsrfViewMiddleware",
    "school.http.middleware.FormLimitsMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "school.accounts.session_timeout.SessionTimeoutMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "axes.middleware.AxesMiddleware",  # last, so that it can replace the response for a locked login
]

METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
if METRICS_TOKEN:
    MIDDLEWARE.insert(0, "school.observability.metrics.RequestMetrics")

ROOT_URLCONF = "school.urls"
WSGI_APPLICATION = "school.wsgi.application"
APPEND_SLASH = True  # for the admin; the API accepts both spellings

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Database

# Seconds to wait for a lock of another transaction; 0: without a limit, on SQLite 20 seconds (for commands).
LOCK_TIMEOUT = env.int("LOCK_TIMEOUT", default=0)
# Seconds that a request waits for PostgreSQL in total; 0: without a limit (for commands).
DATABASE_TIMEOUT = env.int("DATABASE_TIMEOUT", default=0)
try:
    with warnings.catch_warnings(action="ignore"):  # the warnings print the password
        DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'school.sqlite3'}")}
except ValueError:  # its text may contain the password
    raise ImproperlyConfigured(
        "DATABASE_URL is malformed: write postgres://USER:PASSWORD@HOST:PORT/NAME, and what is no letter or digit in "
        "the password as %XX."
    ) from None
if DATABASES["default"].get("ENGINE") not in ("django.db.backends.sqlite3", "django.db.backends.postgresql"):
    raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:/// or postgres://.")
_options = DATABASES["default"].setdefault("OPTIONS", {})  # the URL may contain options, such as sslmode
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["ENGINE"] = "school.db.sqlite"
    # Keep connections open: closing the last one deletes the write-ahead log, and on a full disk the database could
    # not be opened again, not even for reading.
    DATABASES["default"]["CONN_MAX_AGE"] = None
    _options |= {
        # Take the write lock at BEGIN: a transaction that reads first and writes later
        # would otherwise fail with "database is locked" instead of waiting.
        "transaction_mode": "IMMEDIATE",
        "timeout": LOCK_TIMEOUT or 20,
        # With recursive triggers, REPLACE fires the triggers that protect the journal and the record of access. With
        # secure_delete, deleted or changed data is overwritten with zeros.
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA recursive_triggers=ON; PRAGMA secure_delete=ON;"
        ),
    }
else:
    DATABASES["default"]["ENGINE"] = "school.db.postgresql"
    DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # With None, psycopg prepares no statement, not even one executed with prepare=True.
    _options["prepare_threshold"] = 0 if flag("PREPARED_STATEMENTS", default=True) else None
    # Seats are counted after the lock is acquired, and the count must see all rows committed by then. So the isolation
    # level does not depend on the server's default.
    _options["isolation_level"] = IsolationLevel.READ_COMMITTED
    # Detects within a minute a server that disappeared without closing the connection, also without a timeout.
    for _name, _value in {"idle": 30, "interval": 10, "count": 3}.items():
        _options.setdefault(f"keepalives_{_name}", _value)
    _options.setdefault("tcp_user_timeout", 60_000)
    # The server cancels a statement half a second before the client stops waiting, so that the client gets the server's
    # error. The client's own timeout applies only if the server does not respond.
    _limits = {"lock_timeout": LOCK_TIMEOUT * 1000, "statement_timeout": max(DATABASE_TIMEOUT * 1000 - 500, 0)}
    _set = [f"-c {name}={milliseconds}" for name, milliseconds in _limits.items() if milliseconds]
    # One plan fits all values of prepared statements. Memoize costs more than it saves for small pages.
    _set += ["-c plan_cache_mode=force_generic_plan", "-c enable_memoize=off"]
    _options["options"] = " ".join([_options.get("options", ""), *_set]).strip()
    if DATABASE_TIMEOUT:
        _options["wait_budget"] = DATABASE_TIMEOUT
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Imports

# The kinds of imports, in the order in which they depend on each other.
IMPORT_KINDS = {
    "students": "students.imports.StudentImporter",
    "courses": "students.imports.CourseWithSeatsImporter",
    "enrollments": "students.imports.EnrollmentImporter",
}
# Functions of the apps that the health and metrics endpoints call.
READINESS_CHECKS = {"worker": "bulk.monitoring.worker_state"}
METRIC_SOURCES = ["bulk.monitoring.import_metrics"]
# Functions of the apps that the worker calls after each poll for imports.
WORKER_TASKS = ["oneroster.publishing.publish"]
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", default=268_435_456)
MAX_UNZIPPED_BYTES = env.int("MAX_UNZIPPED_BYTES", default=2_147_483_648)
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

# Retention periods of personal data, applied by `manage.py apply_retention`; 0 keeps uploads or students forever.
RETENTION_ANSWERS_DAYS = env.int("RETENTION_ANSWERS_DAYS", default=1)
RETENTION_REFUSALS_DAYS = env.int("RETENTION_REFUSALS_DAYS", default=30)
RETENTION_UPLOADS_DAYS = env.int("RETENTION_UPLOADS_DAYS", default=365)
RETENTION_STUDENTS_YEARS = env.int("RETENTION_STUDENTS_YEARS", default=0)
if min(RETENTION_ANSWERS_DAYS, RETENTION_REFUSALS_DAYS, RETENTION_UPLOADS_DAYS + 1, RETENTION_STUDENTS_YEARS + 1) < 1:
    raise ImproperlyConfigured(
        "RETENTION_ANSWERS_DAYS and RETENTION_REFUSALS_DAYS must be 1 or more, the other RETENTION_… must be 0 or more."
    )

# OneRoster

ONEROSTER_ORG_NAME = env.str("ONEROSTER_ORG_NAME", default="School").strip()
# All ids of OneRoster depend on the identifier: after a change, all records are deleted and added again.
ONEROSTER_ORG_IDENTIFIER = env.str("ONEROSTER_ORG_IDENTIFIER", default="school").strip()
# Days for which OneRoster shows records that were deleted or erased, as "tobedeleted".
ONEROSTER_TOMBSTONE_DAYS = env.int("ONEROSTER_TOMBSTONE_DAYS", default=30)
if not all(0 < len(each) <= 200 for each in (ONEROSTER_ORG_NAME, ONEROSTER_ORG_IDENTIFIER)):
    raise ImproperlyConfigured("ONEROSTER_ORG_NAME and ONEROSTER_ORG_IDENTIFIER must have 1 to 200 characters.")
if not 1 <= ONEROSTER_TOMBSTONE_DAYS <= 3_650:
    raise ImproperlyConfigured("ONEROSTER_TOMBSTONE_DAYS must be from 1 to 3650.")

# Languages and time

# The languages that the folder locale/ has catalogs for.
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("es", "Español")]
LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")  # if a browser requests none of them
if LANGUAGE_CODE not in dict(LANGUAGES):
    raise ImproperlyConfigured(f"LANGUAGE_CODE must be one of {', '.join(dict(LANGUAGES))}, not {LANGUAGE_CODE!r}.")
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = HTTPS
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="UTC")  # the zone of term dates and deadlines
try:
    ZoneInfo(TIME_ZONE)
except (KeyError, ValueError, OSError):
    raise ImproperlyConfigured(
        f"TIME_ZONE names no time zone: {TIME_ZONE!r}. Write Europe/Berlin, for example."
    ) from None

# Static files

STATIC_URL = "static/"
# WhiteNoise serves the packages' static files directly, so `collectstatic` is not needed.
WHITENOISE_USE_FINDERS = True

# Authentication

# A password hashed by another algorithm than the first is hashed again at the next login.
PASSWORD_HASHERS = [f"django.contrib.auth.hashers.{name}PasswordHasher" for name in ("Argon2", "PBKDF2")]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "school.access.row_scope.OwnCoursesBackend",  # before the backend that grants permissions
    "school.accounts.backends.StaffBackend",
]
AXES_HANDLER = "school.accounts.lockout.LoginHandler"
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURES", default=5)
AXES_COOLOFF_TIME = timedelta(minutes=env.int("LOGIN_LOCK_MINUTES", default=15))
if AXES_FAILURE_LIMIT < 1:
    raise ImproperlyConfigured("LOGIN_FAILURES must be 1 or more.")
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]  # a name is locked only for the address that failed
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_USERNAME_CALLABLE = "school.accounts.lockout.username_of"
AXES_CLIENT_IP_CALLABLE = "school.http.client_ip.client_address"
AXES_LOCKOUT_CALLABLE = "school.accounts.lockout.lockout_response"
AXES_SENSITIVE_PARAMETERS = ["username", "password", "client_id", "client_secret", "csrfmiddlewaretoken", "ip_address"]
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False  # school.admin shows the locked logins
AXES_VERBOSE = False

# A session ends when the browser closes, after SESSION_IDLE_MINUTES without activity, or SESSION_HOURS after the login.
SESSION_ENGINE = "school.accounts.session_store"
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_AGE = 60 * env.int("SESSION_IDLE_MINUTES", default=120)
SESSION_HOURS = env.int("SESSION_HOURS", default=12)
if SESSION_COOKIE_AGE < 60 or SESSION_HOURS < 1:
    raise ImproperlyConfigured("SESSION_IDLE_MINUTES and SESSION_HOURS must be 1 or more.")

LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
# Off, optional for staff, or required: docs/access.md.
SECOND_FACTOR = env.str("SECOND_FACTOR", default=accounts.OFF)
SSO = accounts.SingleSignOn(
    issuer=env.str("OIDC_ISSUER", default=""),
    client_id=env.str("OIDC_CLIENT_ID", default=""),
    client_secret=env.str("OIDC_CLIENT_SECRET", default=""),
    claim=env.str("OIDC_CLAIM", default="").strip(),
    name=env.str("OIDC_NAME", default="Single sign-on"),
)
accounts.check_settings(SECOND_FACTOR, SSO)
if SECOND_FACTOR != accounts.OFF or SSO.issuer:
    INSTALLED_APPS += accounts.installed_apps(SECOND_FACTOR, SSO)
    MIDDLEWARE.insert(-1, "allauth.account.middleware.AccountMiddleware")
    globals().update(accounts.allauth_settings(SECOND_FACTOR, SSO, https=HTTPS))
if SECOND_FACTOR != accounts.OFF:
    UNFOLD["ACCOUNT"] = accounts.ACCOUNT_MENU
if SECOND_FACTOR == accounts.REQUIRED:
    MIDDLEWARE.insert(-1, "school.accounts.mfa_required.SecondFactorMiddleware")

OAUTH2_PROVIDER_APPLICATION_MODEL = "school.ApiClient"

# API

DATA_UPLOAD_MAX_MEMORY_SIZE = env.int("MAX_BODY_BYTES", default=2_621_440)
# The admin sends up to a thousand rows with a checkbox each, and checks the limit itself.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_500
# True if PUT, PATCH and DELETE require the header If-Match.
REQUIRE_IF_MATCH = flag("REQUIRE_IF_MATCH", default=False)
PROBLEM_TYPE_BASE = env.str("PROBLEM_TYPE_BASE", default="/problems/")

# Requests per minute, 0 for no limit: for each account, and for each address without credentials or with invalid ones.
API_RATE_CLIENT = env.int("API_RATE_CLIENT", default=30_000)
API_RATE_ANONYMOUS = env.int("API_RATE_ANONYMOUS", default=300)
API_RATE_FAILED = env.int("API_RATE_FAILED", default=60)
# Seconds for which the grant of a token is cached; a revoked token works for at most this long.
TOKEN_CACHE_SECONDS = env.int("TOKEN_CACHE_SECONDS", default=30)
if min(API_RATE_CLIENT, API_RATE_ANONYMOUS, API_RATE_FAILED) < 0:
    raise ImproperlyConfigured("API_RATE_CLIENT, API_RATE_ANONYMOUS and API_RATE_FAILED must be 0 or more.")
if not 0 <= TOKEN_CACHE_SECONDS <= 60:
    raise ImproperlyConfigured(
        "TOKEN_CACHE_SECONDS must be from 0 to 60, so that a revoked token fails within a minute."
    )

# The number of requests that can wait for changes at the same time, in each server process.
CHANGES_WAITERS = env.int("CHANGES_WAITERS", default=4)

# Seconds between a process's writes of its collected refusals; 0: refusals are not stored.
REFUSALS_SECONDS = env.float("REFUSALS_SECONDS", default=1)
if REFUSALS_SECONDS < 0:
    raise ImproperlyConfigured("REFUSALS_SECONDS must be 0 or more.")

# Logs

LOGGING = logging_config(as_json=flag("LOG_JSON", default=not DEBUG), level=env.str("LOG_LEVEL", default="INFO"))
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # an address is personal data
