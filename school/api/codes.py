"""The codes of problems that no rule about enrollment gives, with what they mean."""

from django.utils.translation import gettext_lazy as _

CODES = {
    "authentication_failed": _("The token is unknown, has expired or was revoked. Ask for a new one."),
    "bad_request": _("The request is malformed below the level of fields: a NUL byte in the query, a wrong host."),
    "body_too_large": _("The body is larger than this server takes. Send less at a time."),
    "busy": _("The database did not let go of something in time. Nothing was done: try again after Retry-After."),
    "conflict": _("Somebody else saved something in the way of this at the same moment. Read again and retry."),
    "cursor_expired": _("The changes behind this cursor are not kept any more. Read the lists, then begin anew."),
    "course_ambiguous": _("A course's code without a term fits several courses. Name the term."),
    "course_not_found": _("There is no course with this id or code."),
    "has_history": _("What has history is kept. Deactivate it instead of deleting it."),
    "invalid": _("The body or the query is invalid. `errors` names every field with a code of its own."),
    "length_required": _("A body needs a Content-Length: chunked bodies are not read."),
    "method_not_allowed": _("This address does not take this method."),
    "nothing_applied": _("No item of a batch was applied. `outcomes` says of each why."),
    "not_waivable": _("Some rules can be waived for one act, this one cannot. Its page says who can waive what."),
    "not_acceptable": _("Answers are JSON: send Accept: application/json."),
    "not_authenticated": _("Send a bearer token, or log in."),
    "not_found": _("There is nothing at this address."),
    "parse_error": _("The body is not JSON."),
    "permission_denied": _("Your scopes or permissions do not allow this."),
    "server_error": _("Something went wrong here, and the log has it under the request's id."),
    "student_not_found": _("There is no student with this id or number."),
    "too_many_items": _("A batch has at most 1,000 items. Send several batches."),
    "unique": _("Something with this key exists already."),
    "waiver_needs_reason": _("Who waives a rule says why, in `reason`. The journal keeps both."),
    "waiver_not_allowed": _("Waiving rules takes the scope enrollments:waive, or the permission of a registrar."),
    "unsupported_media_type": _("Bodies are JSON: send Content-Type: application/json."),
}
