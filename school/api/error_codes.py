"""Problem codes that are not about enrollment rules, with their descriptions."""

from django.utils.translation import gettext_lazy as _

CODES = {
    "authentication_failed": _("The token is unknown, has expired or was revoked. Ask for a new one."),
    "bad_request": _("The request is malformed below the level of fields: a NUL byte in the query, a wrong host."),
    "body_too_large": _("The body is larger than this server takes. Send less at a time."),
    "busy": _(
        "The database is busy, full or away. The message says whether nothing was done. Try again after Retry-After."
    ),
    "conflict": _("Somebody else saved something in the way of this at the same moment. Read again and retry."),
    "cookies_too_large": _("The Cookie header is longer than 8 kB. Delete the cookies of this server and try again."),
    "cursor_expired": _(
        "The changes behind this cursor are not kept any more, or the row that it names is gone."
        " Read the lists, then begin without a cursor."
    ),
    "course_ambiguous": _("A course's code without a term fits several courses. Name the term."),
    "course_not_found": _("There is no course with this id or code."),
    "has_history": _("Other rows belong to this one, so it is kept. The message says what can be done instead."),
    "is_prerequisite": _("Other courses ask for the code of this course, and no other course has it, so it is kept."),
    "no_earlier_version": _("The history no longer has the version before the import. Stands in reports."),
    "import_in_progress": _("Another import of this dataset is at work or waits for its review: one at a time."),
    "import_not_found": _("There is no import with this id."),
    "import_not_possible": _("What has become of the import does not allow this any more, or not yet."),
    "idempotency_key_reused": _("An Idempotency-Key stands for one request. Take a new one for another."),
    "invalid": _("The body or the query is invalid. `errors` names every field with a code of its own."),
    "invalid_identifier": _(
        "A number or a code has a character that cannot be seen or looks like another one, or a spreadsheet has "
        "rewritten it. The message names the character and its position."
    ),
    "invalid_idempotency_key": _("An Idempotency-Key has 1 to 255 visible ASCII characters."),
    "length_required": _("A body needs a Content-Length: chunked bodies are not read."),
    "invalid_choice": _("Something is none of the values that it may have. The message names them."),
    "invalid_scope": _("A scope is term:CODE, or course:CODE@TERM."),
    "method_not_allowed": _("This address does not take this method."),
    "mode_not_offered": _("Files of this kind are never full: what they do not list is left alone."),
    "nothing_applied": _("No item of a batch was applied. `outcomes` says of each why."),
    "not_waivable": _("Some rules can be waived for one act, this one cannot. Its page says who can waive what."),
    "not_acceptable": _("Answers are JSON: send Accept: application/json."),
    "not_authenticated": _("Send a bearer token, or log in."),
    "not_found": _("There is nothing at this address."),
    "outside_limits": _("This client is limited to terms or courses, and what it wants to change lies outside."),
    "parse_error": _("The body is not JSON."),
    "permission_denied": _("Your scopes or permissions do not allow this."),
    "precondition_failed": _(
        "What If-Match names is not there any more: somebody changed it. Read it again. Where the tag is weak, or was"
        " altered by a proxy, the message says so."
    ),
    "precondition_required": _("This server takes changes only with If-Match, the ETag of what was read."),
    "server_error": _("Something went wrong here, and the log has it under the request's id."),
    "storage_full": _("There is no room on the server for this file. Nothing is kept of it."),
    "still_at_work": _("The first request with this Idempotency-Key has not ended. Try again after Retry-After."),
    "student_not_found": _("There is no student with this id or number."),
    "term_not_found": _("There is no term with this id or code."),
    "too_many_attempts": _("A secret was guessed at too often. It is locked for this address until Retry-After."),
    "too_many_items": _("A batch has at most 1,000 items. Send several batches."),
    "too_many_requests": _("These were too many requests in a minute. Come back after Retry-After."),
    "unique": _("Something with this key exists already."),
    "waiver_needs_reason": _("Who waives a rule says why, in `reason`. The journal keeps both."),
    "waiver_not_allowed": _("Waiving rules takes the scope enrollments:waive, or the permission of a registrar."),
    "unknown_option": _("A file of this kind has no such option."),
    "unsupported_media_type": _("Send a Content-Type that the address takes, application/json for most."),
}
