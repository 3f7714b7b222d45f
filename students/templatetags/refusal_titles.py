"""A template filter that shows the codes of refusals as titles."""

from collections.abc import Iterable

from django import template

from students.enrollment.rules import ALL_RULES

register = template.Library()

TITLES = {rule.code: rule.title for rule in ALL_RULES}


@register.filter
def titles(codes: Iterable[str]) -> str:
    """Return the titles of codes in their order. A code that no rule has any more is shown as it is."""
    return ", ".join(str(TITLES.get(code, code)) for code in codes)
