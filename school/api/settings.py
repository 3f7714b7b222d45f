"""
Settings of DRF, drf-spectacular and OAuth.

They do not depend on the environment of School.
"""

from school.api.openapi.descriptions import TAGS

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "school.api.authentication.ClientAuthentication",
        "school.api.authentication.StaffAuthentication",
        "school.api.authentication.AnonymousAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["school.api.permissions.ScopeOrModelPermission"],
    "DEFAULT_FILTER_BACKENDS": [
        "school.api.filters.StrictFilterBackend",
        "school.api.filters.SearchBackend",
        "school.api.filters.OrderingBackend",
    ],
    "DEFAULT_PAGINATION_CLASS": "school.api.pagination.KeysetPagination",
    "DEFAULT_PARSER_CLASSES": ["school.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "school.api.negotiation.ContentNegotiation",
    "DEFAULT_METADATA_CLASS": "school.api.metadata.Metadata",
    "DEFAULT_SCHEMA_CLASS": "school.api.openapi.schema.Schema",
    "EXCEPTION_HANDLER": "school.api.exception_handler.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "URL_FORMAT_OVERRIDE": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "School",
    "DESCRIPTION": "Enrollment system of record: who takes which course, since when, and how it ended.",
    "VERSION": "1",
    "LICENSE": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
    "CONTACT": {"name": "The maintainers of School"},
    "SERVERS": [{"url": "/", "description": "This server"}],
    "TAGS": [{"name": name, "description": text} for name, text in TAGS.items()],
    "OAS_VERSION": "3.1.0",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_AUTHENTICATION": [
        "school.api.authentication.AnonymousAuthentication"
    ],  # the request is counted for the rate limit, because generating the document is slow
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SCHEMA_PATH_PREFIX": r"/api/v[0-9]+",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "TrueOrFalseEnum": ["true", "false"],
        "StatusEnum": "students.models.Status",
        "ActionEnum": "students.models.Action",
        "ImportStateEnum": "bulk.models.State",
        "ImportModeEnum": "bulk.models.Mode",
        "ImportOnErrorEnum": "bulk.models.OnError",
        "ImportReviewEnum": "bulk.models.Review",
        "WebhookStateEnum": "webhooks.models.EndpointState",
        "WebhookOutcomeEnum": "webhooks.models.Outcome",
    },
    "AUTHENTICATION_WHITELIST": [
        "school.api.authentication.ClientAuthentication",
        "school.api.authentication.StaffAuthentication",
    ],
    "OAUTH2_FLOWS": ["clientCredentials"],
    "OAUTH2_TOKEN_URL": "/oauth/token",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "school.api.openapi.postprocessing_hooks.describe_schemas",
        "school.api.openapi.postprocessing_hooks.allow_sparse_responses",
        "school.api.openapi.postprocessing_hooks.leave_defaults_to_the_server",
        "school.api.openapi.postprocessing_hooks.describe_properties_once",
        "school.api.openapi.links.add_links",
        "students.api.problem_pages.add_codes",
        "school.api.openapi.component_extraction.share_parts",
    ],
}

SCOPES = {
    "students:read": "Read students",
    "students:write": "Add, change and delete students",
    "holds:read": "Read the holds of students",
    "holds:write": "Place and release holds",
    "courses:read": "Read courses and terms",
    "courses:write": "Add, change and delete courses and terms",
    "enrollments:read": "Read enrollments and rosters",
    "enrollments:write": "Enroll, drop and complete",
    "enrollments:waive": "Waive rules when enrolling, giving a reason",
    "changes:read": "Read every change of every enrollment",
    "imports:read": "Read imports, their reports and their failed rows",
    "imports:write": "Import files, approve, cancel and undo imports, whatever kind they are of",
    "webhooks:write": "Register webhooks, with the scopes to read the changes that they carry",
    "rosters:read": "Read students, staff, courses and enrollments by OneRoster",
}
OAUTH2_PROVIDER = {
    "SCOPES": SCOPES,
    "OAUTH2_VALIDATOR_CLASS": "oneroster.scopes.RosterValidator",
    "SCOPES_BACKEND_CLASS": "oneroster.scopes.RosterScopes",
    "APPLICATION_ADMIN_CLASS": "school.admin.api_clients.ClientAdmin",
    "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
    "PKCE_REQUIRED": True,
    "ROTATE_REFRESH_TOKEN": True,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
    # RFC 9700 (best current practice for OAuth 2.0 security); TOKEN_STORAGE keeps tokens hashed.
    **{
        f"COMPLIANT_BCP_RFC9700_{name}": True
        for name in (
            "IMPLICIT_GRANT",
            "PASSWORD_GRANT",
            "PKCE_METHOD",
            "PKCE_REQUIRED",
            "ACCESS_TOKEN_TRANSPORT",
            "AUTHZ_RESPONSE_ISS",
            "TOKEN_STORAGE",
            "REFRESH_TOKEN",
            "REDIRECT_URI_SCHEME",
            "REDIRECT_URI_MATCHING",
        )
    },
}
