"""Codes of reasons as people call them."""

from collections.abc import Iterable

from django import template

from students.rules import ALL_RULES

register = template.Library()

TITLES = {rule.code: rule.title for rule in ALL_RULES}


@register.filter
def titles(codes: Iterable[str]) -> str:
    """Return the titles of codes in their order; a code that is no rule's any more stands for itself."""
    return ", ".join(str(TITLES.get(code, code)) for code in codes)
