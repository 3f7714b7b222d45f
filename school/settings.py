"""
Django settings, read from the environment or from the file ``.env``.

All variables are listed in docs/settings.md. A missing or malformed one stops the start with a one-sentence error.
"""

import tomllib
import warnings
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured

from school import environment
from school.accounts import settings as accounts
from school.admin_site.theme import UNFOLD  # the theme of the admin reads this setting
from school.api.settings import OAUTH2_PROVIDER, REST_FRAMEWORK, SCOPES, SPECTACULAR_SETTINGS  # noqa: F401  # libraries read them
from school.db.settings import database_settings
from school.deployment_checks import REPLACED_CHECKS
from school.environment import Environment
from school.http.client_ip import parse_trusted_proxies
from school.observability.error_reports import start_error_reports
from school.observability.logging import logging_config

BASE_DIR = Path(__file__).resolve().parent.parent


env = Environment()
flag = env.flag
env.load(env.str("ENV_FILE", default=str(BASE_DIR / ".env")))

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

SILENCED_SYSTEM_CHECKS = REPLACED_CHECKS

HTTPS = flag("HTTPS", default=True)
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health(/|$)", r"^metrics$"]  # load balancers request these over plain HTTP
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
# A browser accepts a cookie with this prefix only over HTTPS and from this host: no sibling domain can set one.
_COOKIE_PREFIX = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{_COOKIE_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{_COOKIE_PREFIX}csrftoken"
LANGUAGE_COOKIE_NAME = f"{_COOKIE_PREFIX}django_language"
# Messages are not stored in cookies, because they name students.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# Browsers refuse plain HTTP for this time. Subdomains are other services, and preloading cannot be undone.
HSTS_SECONDS = env.number("HSTS_SECONDS", default=3_600, at_least=0)
SECURE_HSTS_SECONDS = HSTS_SECONDS if HTTPS else 0
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
    "webhooks",
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
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "oauth2_provider",
    "rest_framework",
    "simple_history",
]

# Requests under these prefixes have their own middleware: docs/decisions/0037.
API_PREFIXES = ("/api/", "/oauth/", "/.well-known/", "/ims/", "/health", "/metrics")
API_MIDDLEWARE = [
    "school.http.request_log.RequestLogMiddleware",  # first, so that every response has the request id
    "oneroster.middleware.StandardErrorsMiddleware",  # before all middleware that can answer with an error
    "school.http.csp.ContentSecurityPolicyMiddleware",
    "school.http.cache_control.CacheControlMiddleware",
    "school.http.request_checks.RequestChecksMiddleware",
    "school.http.probe_middleware.ProbeMiddleware",  # this must precede all middleware that checks the host
    "school.http.rate_limit.RateLimitMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "school.i18n.middleware.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    # This must precede the CSRF check of the view, which reads the file.
    "bulk.upload_permission_middleware.UploadPermissionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "axes.middleware.AxesMiddleware",  # this is last, so that it can replace the response for a locked client
]
MIDDLEWARE = [
    "school.http.api_middleware.ApiMiddleware",  # this handles requests under API_PREFIXES by API_MIDDLEWARE
    "school.http.request_log.RequestLogMiddleware",  # first, so that every response has the request id
    "school.http.csp.ContentSecurityPolicyMiddleware",
    "school.http.request_checks.RequestChecksMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "school.i18n.middleware.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "bulk.upload_permission_middleware.UploadPermissionMiddleware",  # before the CSRF check, which reads the file
    "django.middleware.csrf.CsrfViewMiddleware",
    "school.http.html_whitespace.HtmlWhitespaceMiddleware",
    "school.http.form_limits.FormLimitsMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "school.accounts.session_timeout.SessionTimeoutMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "axes.middleware.AxesMiddleware",  # this is last, so that it can replace the response for a locked login
]

METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
if METRICS_TOKEN:
    MIDDLEWARE.insert(0, "school.observability.metrics.RequestMetrics")

ROOT_URLCONF = "school.urls"
WSGI_APPLICATION = "school.wsgi.application"
APPEND_SLASH = True  # for the admin; the API accepts paths with and without a trailing slash

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "school.accounts.password_reset.password_reset_link",
            ],
        },
    },
]

# Database

# Seconds to wait for a lock of another transaction; 0: without a limit, on SQLite 20 seconds (for commands).
LOCK_TIMEOUT = env.int("LOCK_TIMEOUT", default=environment.default_timeout)
# Seconds that a request waits for PostgreSQL in total; 0: without a limit (for commands).
DATABASE_TIMEOUT = env.int("DATABASE_TIMEOUT", default=environment.default_timeout)
try:
    with warnings.catch_warnings(action="ignore"):  # the warnings of django-environ print the password
        DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'school.sqlite3'}")}
except ValueError:  # the text of the error may contain the password
    raise ImproperlyConfigured(
        "DATABASE_URL is malformed: write postgres://USER:PASSWORD@HOST:PORT/NAME, and what is no letter or digit in "
        "the password as %XX."
    ) from None
if database_password := env.str("DATABASE_PASSWORD", default=""):
    DATABASES["default"]["PASSWORD"] = database_password
POOLER = env.str("POOLER", default="")
DATABASES["default"] = database_settings(
    DATABASES["default"],
    lock_timeout=LOCK_TIMEOUT,
    database_timeout=DATABASE_TIMEOUT,
    max_age=env.int("CONN_MAX_AGE", default=60),
    pooler=POOLER,
    prepared_statements=flag("PREPARED_STATEMENTS", default=not POOLER),
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Imports

# The kinds of imports and their importers. A kind may refer to the kinds before it.
IMPORT_KINDS = {
    "terms": "students.imports.TermWithWaitlistsImporter",
    "grades": "students.imports.GradeWithWaitlistsImporter",
    "students": "students.imports.StudentImporter",
    "courses": "students.imports.CourseWithSeatsImporter",
    "holds": "students.imports.HoldImporter",
    "enrollments": "students.imports.EnrollmentImporter",
}
# Functions of the apps that the health and metrics endpoints call.
READINESS_CHECKS = {"worker": "bulk.monitoring.worker_state"}
METRIC_SOURCES = [
    "bulk.monitoring.import_metrics",
    "students.monitoring.feed_metrics",
    "webhooks.monitoring.webhook_metrics",
    "school.backups.last_backup.backup_metrics",
]
# Functions that return more alerts for the home page of the admin.
DASHBOARD_ALERTS = ["webhooks.admin.paused_alerts"]
# Pages of the apps in the admin that belong to no model: the route, the view and the name of the URL.
ADMIN_PAGES = [("oneroster/", "oneroster.admin.export_page", "oneroster")]
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", default=268_435_456)
MAX_UNZIPPED_BYTES = env.int("MAX_UNZIPPED_BYTES", default=2_147_483_648)

# The functions of the apps that workers run regularly, each with its interval; None: daily; 0: after each poll for
# imports.
HOUSEKEEPING_HOUR = env.number("HOUSEKEEPING_HOUR", default=3, at_least=0, at_most=23)  # an hour of TIME_ZONE
PERIODIC_TASKS = {
    "publish_oneroster": ("oneroster.publishing.publish", timedelta(0)),
    "promote_waitlists": ("students.housekeeping.promote_waitlists", timedelta(minutes=5)),
    "housekeeping": ("students.housekeeping.clean_up", None),
    "webhooks": ("webhooks.housekeeping.clean_up", None),
}
# The functions of the apps that workers run all the time, each in a thread.
BACKGROUND_TASKS = ["webhooks.delivery.dispatcher.run"]

# Retention periods of personal data, applied by workers and `manage.py housekeeping`; 0 keeps uploads or students
# forever.
RETENTION_ANSWERS_DAYS = env.number("RETENTION_ANSWERS_DAYS", default=1, at_least=1)
RETENTION_ATTEMPTS_DAYS = env.number("RETENTION_ATTEMPTS_DAYS", default=30, at_least=1)
RETENTION_REFUSALS_DAYS = env.number("RETENTION_REFUSALS_DAYS", default=30, at_least=1)
RETENTION_UPLOADS_DAYS = env.number("RETENTION_UPLOADS_DAYS", default=365, at_least=0)
RETENTION_STUDENTS_YEARS = env.number("RETENTION_STUDENTS_YEARS", default=0, at_least=0)

# OneRoster
ONEROSTER_ORG_NAME = env.str("ONEROSTER_ORG_NAME", default="School").strip()
# All ids of OneRoster depend on the identifier: after a change, all records are deleted and added again.
ONEROSTER_ORG_IDENTIFIER = env.str("ONEROSTER_ORG_IDENTIFIER", default="school").strip()
# Days for which OneRoster shows records that were deleted or erased, as "tobedeleted".
ONEROSTER_TOMBSTONE_DAYS = env.number("ONEROSTER_TOMBSTONE_DAYS", default=30, at_least=1, at_most=3_650)
if not all(0 < len(each) <= 200 for each in (ONEROSTER_ORG_NAME, ONEROSTER_ORG_IDENTIFIER)):
    raise ImproperlyConfigured("ONEROSTER_ORG_NAME and ONEROSTER_ORG_IDENTIFIER must have 1 to 200 characters.")

# Webhooks
WEBHOOK_HTTP = flag("WEBHOOK_HTTP", default=False)  # True if URLs of webhooks may begin with http://
try:
    # Networks that webhooks may be sent to although they are not public.
    WEBHOOK_ALLOWED_NETWORKS = [ip_network(each.strip()) for each in env.list("WEBHOOK_ALLOWED_NETWORKS", default=[])]
except ValueError as error:
    raise ImproperlyConfigured(f"WEBHOOK_ALLOWED_NETWORKS has a malformed network: {error}.") from None

# Languages and time

# The languages that the folder locale/ has catalogs for.
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("es", "Español")]
LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")  # the language if the browser requests none of them
if LANGUAGE_CODE not in dict(LANGUAGES):
    raise ImproperlyConfigured(f"LANGUAGE_CODE must be one of {', '.join(dict(LANGUAGES))}, not {LANGUAGE_CODE!r}.")
VERSION = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]  # shown below each page
FORMAT_MODULE_PATH = "school.i18n.locale_formats"
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = HTTPS
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="UTC")  # the time zone of term dates and deadlines
try:
    ZoneInfo(TIME_ZONE)
except (KeyError, ValueError, OSError):
    raise ImproperlyConfigured(
        f"TIME_ZONE names no time zone: {TIME_ZONE!r}. Write Europe/Berlin, for example."
    ) from None

# Static files

STATIC_URL = "static/"
# The folder of `collectstatic`. Without it, WhiteNoise serves the files of the packages directly.
STATIC_ROOT = env.str("STATIC_ROOT", default="") or None
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o755  # for collectstatic: the user of the server reads its folders

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
    "school.accounts.backends.OwnCoursesBackend",  # precedes the backend that grants permissions
    "school.accounts.backends.StaffBackend",
]
AXES_HANDLER = "school.accounts.lockout.LoginHandler"
AXES_FAILURE_LIMIT = env.number("LOGIN_FAILURES", default=5, at_least=1)
AXES_COOLOFF_TIME = timedelta(minutes=env.int("LOGIN_LOCK_MINUTES", default=15))
# A user name is locked only for the address of the failed logins.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_USERNAME_CALLABLE = "school.accounts.lockout.username_of"
AXES_CLIENT_IP_CALLABLE = "school.http.client_ip.client_address"
AXES_LOCKOUT_CALLABLE = "school.accounts.lockout.lockout_response"
AXES_SENSITIVE_PARAMETERS = ["username", "password", "client_id", "client_secret", "csrfmiddlewaretoken", "ip_address"]
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False  # no admin of django-axes, because school.admin shows the locked logins
AXES_VERBOSE = False

# A session ends when the browser closes, after SESSION_IDLE_MINUTES without activity, or SESSION_HOURS after the login.
SESSION_ENGINE = "school.accounts.session_store"
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_AGE = 60 * env.number("SESSION_IDLE_MINUTES", default=120, at_least=1)
SESSION_HOURS = env.number("SESSION_HOURS", default=12, at_least=1)

LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
# The second factor: off, optional for staff, or required. See docs/access.md.
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

# Mail. Only the password reset sends any: without EMAIL_HOST there is none.

EMAIL_HOST = env.str("EMAIL_HOST", default="")
EMAIL_PORT = env.int("EMAIL_PORT", default=587)
EMAIL_HOST_USER = env.str("EMAIL_USER", default="")
EMAIL_HOST_PASSWORD = env.str("EMAIL_PASSWORD", default="")
EMAIL_SECURITY = env.str("EMAIL_SECURITY", default="starttls")
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="")
EMAIL_TIMEOUT = 10
EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL_SECURITY == "starttls", EMAIL_SECURITY == "tls"
if EMAIL_SECURITY not in ("starttls", "tls", "off"):
    raise ImproperlyConfigured("EMAIL_SECURITY must be starttls, tls or off.")
if EMAIL_HOST and "@" not in DEFAULT_FROM_EMAIL:
    raise ImproperlyConfigured("EMAIL_HOST needs EMAIL_FROM, the address that mails come from.")
PASSWORD_RESET_TIMEOUT = 3_600  # seconds for which a link is valid

OAUTH2_PROVIDER_APPLICATION_MODEL = "school.ApiClient"

# API

DATA_UPLOAD_MAX_MEMORY_SIZE = env.int("MAX_BODY_BYTES", default=2_621_440)
# The admin sends up to a thousand rows with a checkbox each, and checks the limit itself.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_500
# True if PUT, PATCH and DELETE require the header If-Match.
REQUIRE_IF_MATCH = flag("REQUIRE_IF_MATCH", default=False)
PROBLEM_TYPE_BASE = env.str("PROBLEM_TYPE_BASE", default="/problems/")

# The maximum requests per minute: of an account, and of an address without valid credentials; 0: without a limit.
API_RATE_CLIENT = env.number("API_RATE_CLIENT", default=30_000, at_least=0)
API_RATE_ANONYMOUS = env.number("API_RATE_ANONYMOUS", default=300, at_least=0)
API_RATE_FAILED = env.number("API_RATE_FAILED", default=60, at_least=0)
# Seconds for which the grant of a token is cached; a revoked token works for at most this long, a minute.
TOKEN_CACHE_SECONDS = env.number("TOKEN_CACHE_SECONDS", default=30, at_least=0, at_most=60)

# The number of requests that can wait for changes at the same time, in each server process.
CHANGES_WAITERS = env.int("CHANGES_WAITERS", default=4)

# Seconds between a process's writes of its collected refusals; 0: refusals are not stored.
REFUSALS_SECONDS = env.float("REFUSALS_SECONDS", default=1)
if REFUSALS_SECONDS < 0:
    raise ImproperlyConfigured("REFUSALS_SECONDS must be 0 or more.")

# Logs

LOGGING = logging_config(as_json=flag("LOG_JSON", default=not DEBUG), level=env.str("LOG_LEVEL", default="INFO"))
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # addresses are not logged, because an address is personal data

# Reports of errors, if SENTRY_DSN is set. They contain no personal data, as the logs.
if sentry_dsn := env.str("SENTRY_DSN", default=""):
    start_error_reports(sentry_dsn, release=VERSION)
