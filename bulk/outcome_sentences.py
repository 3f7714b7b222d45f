"""Summarizes an import in a sentence of its numbers of rows by outcome."""

from collections.abc import Mapping

from django.utils.formats import number_format
from django.utils.translation import ngettext_lazy

# The sentences about rows in the preview of an import, by outcome.
PREVIEWED = {
    "error": ngettext_lazy("%(n)s row has errors", "%(n)s rows have errors", "n"),
    "created": ngettext_lazy("%(n)s would be created", "%(n)s would be created", "n"),
    "updated": ngettext_lazy("%(n)s would be changed", "%(n)s would be changed", "n"),
    "enrolled": ngettext_lazy("%(n)s would be enrolled", "%(n)s would be enrolled", "n"),
    "waitlisted": ngettext_lazy("%(n)s would be waitlisted", "%(n)s would be waitlisted", "n"),
    "completed": ngettext_lazy("%(n)s would be completed", "%(n)s would be completed", "n"),
    "dropped": ngettext_lazy("%(n)s would be dropped or withdrawn", "%(n)s would be dropped or withdrawn", "n"),
    "released": ngettext_lazy("%(n)s would be released", "%(n)s would be released", "n"),
    "adopted": ngettext_lazy("%(n)s would be taken over", "%(n)s would be taken over", "n"),
    "reversed": ngettext_lazy("%(n)s would be undone", "%(n)s would be undone", "n"),
    "kept": ngettext_lazy(
        "%(n)s would stay, because they have changed since", "%(n)s would stay, because they have changed since", "n"
    ),
    "kept_manual": ngettext_lazy(
        "%(n)s would stay, because a person has changed them",
        "%(n)s would stay, because a person has changed them",
        "n",
    ),
    "kept_other_source": ngettext_lazy(
        "%(n)s would stay, because they come from another source",
        "%(n)s would stay, because they come from another source",
        "n",
    ),
    "kept_uncertain": ngettext_lazy(
        "%(n)s would stay, because a row with errors may mean them",
        "%(n)s would stay, because a row with errors may mean them",
        "n",
    ),
    "skipped": ngettext_lazy("%(n)s would be skipped", "%(n)s would be skipped", "n"),
    "unchanged": ngettext_lazy("%(n)s would not change", "%(n)s would not change", "n"),
}
# The same about rows of an import that has ended.
APPLIED = {
    "error": PREVIEWED["error"],
    "created": ngettext_lazy("%(n)s created", "%(n)s created", "n"),
    "updated": ngettext_lazy("%(n)s changed", "%(n)s changed", "n"),
    "enrolled": ngettext_lazy("%(n)s enrolled", "%(n)s enrolled", "n"),
    "waitlisted": ngettext_lazy("%(n)s waitlisted", "%(n)s waitlisted", "n"),
    "completed": ngettext_lazy("%(n)s completed", "%(n)s completed", "n"),
    "dropped": ngettext_lazy("%(n)s dropped or withdrawn", "%(n)s dropped or withdrawn", "n"),
    "released": ngettext_lazy("%(n)s released", "%(n)s released", "n"),
    "adopted": ngettext_lazy("%(n)s taken over", "%(n)s taken over", "n"),
    "reversed": ngettext_lazy("%(n)s undone", "%(n)s undone", "n"),
    "kept": ngettext_lazy(
        "%(n)s stay, because they have changed since", "%(n)s stay, because they have changed since", "n"
    ),
    "kept_manual": ngettext_lazy(
        "%(n)s stay, because a person has changed them", "%(n)s stay, because a person has changed them", "n"
    ),
    "kept_other_source": ngettext_lazy(
        "%(n)s stay, because they come from another source", "%(n)s stay, because they come from another source", "n"
    ),
    "kept_uncertain": ngettext_lazy(
        "%(n)s stay, because a row with errors may mean them",
        "%(n)s stay, because a row with errors may mean them",
        "n",
    ),
    "skipped": ngettext_lazy("%(n)s skipped", "%(n)s skipped", "n"),
    "unchanged": ngettext_lazy("%(n)s not changed", "%(n)s not changed", "n"),
}


def summary(counts: Mapping[str, int], *, is_preview: bool) -> str:
    """Return the numbers of rows by outcome as a text: "5 rows have errors, 2 would be enrolled"."""
    phrases = PREVIEWED if is_preview else APPLIED
    numbers = [(phrases[name], counts[name]) for name in phrases if counts.get(name)]
    return ", ".join(str(phrase % {"n": _Number(number)}) for phrase, number in numbers)


class _Number(int):
    """A number that chooses a plural form and is written in the format of the current language."""

    def __str__(self) -> str:
        return number_format(int(self), force_grouping=True)
