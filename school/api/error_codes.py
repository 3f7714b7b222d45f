"""Problem codes that are not about enrollment rules, with their descriptions."""

from django.utils.translation import gettext_lazy as _

CODES = {
    "already_erased": _("The personal data of this student is already erased."),
    "authentication_failed": _("The token is unknown, has expired or was revoked. Request a new one."),
    "bad_request": _("The request is malformed, for example a NUL byte in the query or an invalid host."),
    "body_too_large": _("The body is larger than this server accepts. Split the request."),
    "busy": _(
        "The database is busy, full or unavailable. The message says whether the request was applied. "
        "Retry after the time in Retry-After."
    ),
    "conflict": _("Another request saved a conflicting change at the same time. Read the object again and retry."),
    "cookies_too_large": _("The Cookie header is longer than 8 kB. Delete the cookies of this server and try again."),
    "not_cancelled": _("The course is not cancelled, so there is nothing to undo."),
    "not_kept": _("The journal begins after this time, so nothing is known about it. The message has its beginning."),
    "cursor_expired": _(
        "The changes after this cursor have been deleted, or the row that it refers to no longer exists. "
        "Read the lists, then start without a cursor."
    ),
    "course_ambiguous": _("Several courses have this code. Add the term."),
    "course_not_found": _("There is no course with this id or code."),
    "duplicate_item": _("An earlier item of the batch has the same key and different values."),
    "grade_in_use": _("Prerequisites require at least this grade, so it must stay, pass and have a rank."),
    "grade_not_found": _("There is no grade with this id or code."),
    "has_history": _(
        "The object cannot be deleted, because other objects refer to it. The message says what to do instead."
    ),
    "is_prerequisite": _(
        "The course is a prerequisite of other courses and is the only course with its code, so it cannot be deleted."
    ),
    "no_passing_grade": _("The table of grades must have a grade that passes, or be empty."),
    "no_earlier_version": _(
        "The version before the import is no longer in the history, so the row cannot be undone. Used in "
        "reports of an undo."
    ),
    "import_in_progress": _(
        "Another import of this dataset is running or needs review. Only one import of a dataset can be active."
    ),
    "import_not_found": _("There is no import with this id."),
    "import_not_possible": _("The state of the import does not allow this operation."),
    "idempotency_key_reused": _(
        "This Idempotency-Key was used for a different request. Use a new key for each request."
    ),
    "invalid": _("The body or the query is invalid. `errors` has a code and a message for each field."),
    "invalid_identifier": _(
        "A student number or a code has a character that is invisible or looks like another one, or a "
        "spreadsheet has changed it. The message names the character and its position."
    ),
    "invalid_idempotency_key": _("The Idempotency-Key is invalid. It must have 1 to 255 visible ASCII characters."),
    "length_required": _(
        "The request has a body without a Content-Length. Send a Content-Length; chunked bodies are not supported."
    ),
    "invalid_choice": _("A value is not one of the allowed values. The message lists them."),
    "invalid_scope": _("The scope of an import has the form term:CODE or course:CODE@TERM."),
    "method_not_allowed": _("This method is not allowed at this URL."),
    "mode_not_offered": _("Files of this kind can only be sent in the mode delta."),
    "nothing_applied": _("No item of the batch was applied. `outcomes` has the reasons for each item."),
    "not_waivable": _(
        "This rule cannot be waived. The page about its code says which rules can be waived and who can do it."
    ),
    "not_acceptable": _("Responses are JSON. Send Accept: application/json."),
    "not_authenticated": _("The request has no credentials. Send a bearer token, or log in."),
    "not_found": _("There is no resource at this URL."),
    "outside_limits": _("This client is limited to certain terms or courses, and the change is outside them."),
    "parse_error": _("The body is not valid JSON."),
    "permission_denied": _("Your scopes or permissions do not allow this."),
    "precondition_failed": _(
        "The object has changed since you read it, so its ETag no longer matches If-Match. Read it again. "
        "If the ETag is weak or was changed by a proxy, the message says so."
    ),
    "precondition_required": _(
        "This server requires If-Match for changes. Send the ETag of the response that you read."
    ),
    "server_error": _(
        "An unexpected error occurred. The server log has the details under the `request_id` of this problem."
    ),
    "storage_full": _("The server has no disk space for this file. Nothing was stored."),
    "still_at_work": _(
        "The first request with this Idempotency-Key is still being processed. Retry after the time in Retry-After."
    ),
    "student_not_found": _("There is no student with this id or number."),
    "term_not_found": _("There is no term with this id or code."),
    "too_many_attempts": _(
        "Too many failed attempts with a secret. Requests from this address are rejected until the time in Retry-After."
    ),
    "too_many_items": _("A batch has at most 1,000 items. Send several batches."),
    "too_many_requests": _("Too many requests in one minute. Retry after the time in Retry-After."),
    "unique": _("An object with this key already exists."),
    "waiver_needs_reason": _("A waiver requires a reason, in `reason`. The journal records both."),
    "waiver_not_allowed": _("A waiver requires the scope enrollments:waive, or the permission of a registrar."),
    "unknown_option": _("Files of this kind do not have this option."),
    "unsupported_media_type": _("The Content-Type is not supported at this URL. Most URLs accept application/json."),
}
