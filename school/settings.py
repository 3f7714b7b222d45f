"""
Settings of School, all read from the environment or from the file ``.env``.

Every variable is listed in docs/architecture.md. What is missing or malformed stops the start with one sentence.
"""

from datetime import timedelta
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured
from psycopg import IsolationLevel

from school.accounts import settings as accounts
from school.addresses import trusted_proxies
from school.api.settings import OAUTH2_PROVIDER, REST_FRAMEWORK, SCOPES, SPECTACULAR_SETTINGS  # noqa: F401  # read by libraries
from school.desk import UNFOLD  # read by the theme of the admin
from school.logs import logging_config

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()


def flag(name: str, *, default: bool) -> bool:
    value = env.str(name, default=str(default)).lower()
    if value not in ("true", "false"):
        raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")
    return value == "true"


env.read_env(env.str("ENV_FILE", default=str(BASE_DIR / ".env")))

# Safety

DEBUG = flag("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

HTTPS = flag("HTTPS", default=True)
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health(/|$)", r"^metrics$"]  # asked from nearby, in plain HTTP
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
if flag("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
TRUSTED_PROXIES = trusted_proxies(env.str("TRUSTED_PROXIES", default="0"))

# Parts

INSTALLED_APPS = [
    "axes",
    "school",
    "bulk",
    "courses",
    "students",
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.simple_history",
    "school.apps.DeskConfig",
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

MIDDLEWARE = [
    "school.middleware.RequestLogMiddleware",  # first, so that every answer carries its id
    "school.policy.ContentSecurityPolicyMiddleware",
    "school.middleware.BoundsMiddleware",
    "school.api.throttling.RateLimitMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "school.pages.StaticFiles",
    "school.languages.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "school.api.shortcuts.ShortcutMiddleware",  # behind everything that programs need too
    "school.pages.Sessions",
    "django.middleware.csrf.CsrfViewMiddleware",
    "school.pages.Authentication",
    "school.sessions.SessionsEndMiddleware",
    "school.pages.Messages",
    "simple_history.middleware.HistoryRequestMiddleware",
    "axes.middleware.AxesMiddleware",  # last, so that it can answer for a login that is locked
]

METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
if METRICS_TOKEN:
    MIDDLEWARE.insert(0, "school.metrics.RequestMetrics")

ROOT_URLCONF = "school.urls"
WSGI_APPLICATION = "school.wsgi.application"
APPEND_SLASH = True  # for the admin; the API takes both spellings

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

# Data

# Seconds to wait for what another transaction holds; 0: a command waits as long as it takes, on SQLite 20 seconds.
LOCK_TIMEOUT = env.int("LOCK_TIMEOUT", default=0)
# Seconds that a request waits for PostgreSQL altogether; 0: a command waits as long as it takes.
DATABASE_TIMEOUT = env.int("DATABASE_TIMEOUT", default=0)
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'school.sqlite3'}")}
if DATABASES["default"].get("ENGINE") not in ("django.db.backends.sqlite3", "django.db.backends.postgresql"):
    raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:/// or postgres://.")
_options = DATABASES["default"].setdefault("OPTIONS", {})  # the address may bring some, sslmode for example
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["ENGINE"] = "school.sqlite"
    # Kept, since who closes the last one removes the log, and a full disk has no room to open it again and read.
    DATABASES["default"]["CONN_MAX_AGE"] = None
    _options |= {
        # Take the write lock at BEGIN: a transaction that reads first and writes later
        # would otherwise fail with "database is locked" instead of waiting.
        "transaction_mode": "IMMEDIATE",
        "timeout": LOCK_TIMEOUT or 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"]["ENGINE"] = "school.postgresql"
    DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    PREPARED_STATEMENTS = flag("PREPARED_STATEMENTS", default=True)
    # Seats are counted after the lock is had, and must be seen as they are then, whatever the server's default is.
    _options["isolation_level"] = IsolationLevel.READ_COMMITTED
    # A machine that is gone without a word is noticed within a minute, by who waits for ever too.
    for _name, _value in {"idle": 30, "interval": 10, "count": 3}.items():
        _options.setdefault(f"keepalives_{_name}", _value)
    _options.setdefault("tcp_user_timeout", 60_000)
    # The server gives up half a second before who waits for it: only one that is not there is waited for in vain.
    _limits = {"lock_timeout": LOCK_TIMEOUT * 1000, "statement_timeout": max(DATABASE_TIMEOUT * 1000 - 500, 0)}
    _set = [f"-c {name}={milliseconds}" for name, milliseconds in _limits.items() if milliseconds]
    # One plan fits all values of what is prepared. A page of few rows is quicker read than a memory for it is made.
    _set += ["-c plan_cache_mode=force_generic_plan", "-c enable_memoize=off"]
    _options["options"] = " ".join([_options.get("options", ""), *_set]).strip()
    if DATABASE_TIMEOUT:
        _options["patience"] = DATABASE_TIMEOUT
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Files in bulk

# The kinds of files, in the order in which one leads to the other.
IMPORT_KINDS = {
    "students": "students.imports.StudentImporter",
    "courses": "students.imports.CourseWithSeatsImporter",
    "enrollments": "students.imports.EnrollmentImporter",
}
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", default=268_435_456)
MAX_UNZIPPED_BYTES = env.int("MAX_UNZIPPED_BYTES", default=2_147_483_648)
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

# How long what is personal is kept, where `manage.py apply_retention` is run; 0 of uploads and students: for good.
RETENTION_ANSWERS_DAYS = env.int("RETENTION_ANSWERS_DAYS", default=1)
RETENTION_REFUSALS_DAYS = env.int("RETENTION_REFUSALS_DAYS", default=30)
RETENTION_UPLOADS_DAYS = env.int("RETENTION_UPLOADS_DAYS", default=365)
RETENTION_STUDENTS_YEARS = env.int("RETENTION_STUDENTS_YEARS", default=0)
if min(RETENTION_ANSWERS_DAYS, RETENTION_REFUSALS_DAYS, RETENTION_UPLOADS_DAYS + 1, RETENTION_STUDENTS_YEARS + 1) < 1:
    raise ImproperlyConfigured(
        "RETENTION_ANSWERS_DAYS and RETENTION_REFUSALS_DAYS must be 1 or more, the other RETENTION_… must be 0 or more."
    )

# Languages and time

# Those that the folder locale/ has words for.
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("es", "Español")]
LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")  # where a browser asks for none of them
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

# Static files

STATIC_URL = "static/"
# Nothing to collect by hand before the first start: WhiteNoise serves the files of the packages as they are.
WHITENOISE_USE_FINDERS = True

# Who may

# What is hashed otherwise is hashed anew when its owner logs in.
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
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_HANDLER = "school.logins.LoginHandler"
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURES", default=5)
AXES_COOLOFF_TIME = timedelta(minutes=env.int("LOGIN_LOCK_MINUTES", default=15))
if AXES_FAILURE_LIMIT < 1:
    raise ImproperlyConfigured("LOGIN_FAILURES must be 1 or more.")
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]  # a name is locked where it was guessed at, nowhere else
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_USERNAME_CALLABLE = "school.logins.name_in"
AXES_CLIENT_IP_CALLABLE = "school.addresses.client_address"
AXES_LOCKOUT_CALLABLE = "school.logins.locked_out"
AXES_SENSITIVE_PARAMETERS = ["username", "password", "client_id", "client_secret", "csrfmiddlewaretoken", "ip_address"]
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False  # school.admin shows what is locked
AXES_VERBOSE = False

# A session ends with the browser, when nothing was done for so long, and in any case so long after the login.
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_AGE = 60 * env.int("SESSION_IDLE_MINUTES", default=120)
SESSION_HOURS = env.int("SESSION_HOURS", default=12)
if SESSION_COOKIE_AGE < 60 or SESSION_HOURS < 1:
    raise ImproperlyConfigured("SESSION_IDLE_MINUTES and SESSION_HOURS must be 1 or more.")

LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
# Off, offered to staff, or required of them: docs/admin.md.
SECOND_FACTOR = env.str("SECOND_FACTOR", default=accounts.OFF)
SSO = accounts.SingleSignOn(
    issuer=env.str("OIDC_ISSUER", default=""),
    client_id=env.str("OIDC_CLIENT_ID", default=""),
    client_secret=env.str("OIDC_CLIENT_SECRET", default=""),
    claim=env.str("OIDC_CLAIM", default="preferred_username"),
    name=env.str("OIDC_NAME", default="Single sign-on"),
)
accounts.check(SECOND_FACTOR, SSO)
if SECOND_FACTOR != accounts.OFF or SSO.issuer:
    INSTALLED_APPS += accounts.apps_of(SECOND_FACTOR, SSO)
    MIDDLEWARE.insert(-1, "allauth.account.middleware.AccountMiddleware")
    globals().update(accounts.allauth_settings(SECOND_FACTOR, SSO, https=HTTPS))
if SECOND_FACTOR != accounts.OFF:
    UNFOLD["ACCOUNT"] = accounts.ACCOUNT
if SECOND_FACTOR == accounts.REQUIRED:
    MIDDLEWARE.insert(-1, "school.accounts.required.SecondFactorMiddleware")

OAUTH2_PROVIDER_APPLICATION_MODEL = "school.ApiClient"

# API

DATA_UPLOAD_MAX_MEMORY_SIZE = env.int("MAX_BODY_BYTES", default=2_621_440)
# The desk sends a thousand lines with a box for each, and says itself what is too many.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_500
# Whether PUT, PATCH and DELETE must say by If-Match what they change.
REQUIRE_IF_MATCH = flag("REQUIRE_IF_MATCH", default=False)
PROBLEM_TYPE_BASE = env.str("PROBLEM_TYPE_BASE", default="/problems/")

# Requests in a minute, 0 for no limit: of an account, of an address that shows nothing, and one that fails to.
API_RATE_CLIENT = env.int("API_RATE_CLIENT", default=30_000)
API_RATE_ANONYMOUS = env.int("API_RATE_ANONYMOUS", default=300)
API_RATE_FAILED = env.int("API_RATE_FAILED", default=60)
# Seconds that what a token stands for is remembered: so long may one that is revoked live on.
TOKEN_CACHE_SECONDS = env.int("TOKEN_CACHE_SECONDS", default=30)
if min(API_RATE_CLIENT, API_RATE_ANONYMOUS, API_RATE_FAILED) < 0:
    raise ImproperlyConfigured("API_RATE_CLIENT, API_RATE_ANONYMOUS and API_RATE_FAILED must be 0 or more.")
if not 0 <= TOKEN_CACHE_SECONDS <= 60:
    raise ImproperlyConfigured("TOKEN_CACHE_SECONDS must be 0 to 60: a revoked token dies within a minute.")

# How many readers of the change feed may wait at a time for something to happen, in each process of the server.
CHANGES_WAITERS = env.int("CHANGES_WAITERS", default=4)

# Seconds until a process writes down whom it has refused, all of them at once; 0: nobody is kept.
REFUSALS_SECONDS = env.float("REFUSALS_SECONDS", default=1)
if REFUSALS_SECONDS < 0:
    raise ImproperlyConfigured("REFUSALS_SECONDS must be 0 or more.")

# Logs

LOGGING = logging_config(as_json=flag("LOG_JSON", default=not DEBUG), level=env.str("LOG_LEVEL", default="INFO"))
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # an address is personal data
