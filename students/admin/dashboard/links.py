"""Links from the home page to filtered lists."""

from typing import Any

from django.urls import reverse
from django.utils.http import urlencode

from courses.models import Term


def changelist_url(model: Any, **filters: Any) -> str:
    """Return the URL of a list in the admin."""
    url = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url


def term_filter(term: Term | None, prefix: str = "") -> dict[str, Any]:
    """Return the list filter for a term, or for courses without a term."""
    return {f"{prefix}term__id__exact": term.pk} if term else {f"{prefix}term__isnull": "True"}
