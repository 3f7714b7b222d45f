"""The admin form that uploads a file."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from bulk.importers.base import FLAG_SET, Option
from bulk.importers.registry import importer_classes, modes_of, options_of
from bulk.jobs.submission import ONE_FILE
from bulk.models import DEFAULT_DATASET, ZIP, Mode
from bulk.translated_labels import OPTION_VALUES, translated_label
from school.validators import plain_text

MODES = [
    (Mode.DELTA, _("Only the listed rows change")),
    (Mode.FULL, _("The file is the complete list: enrollments or holds that it does not list end")),
]
FULL_ONLY = ("scope",)  # besides the options that only a full file has
MAIN_FIELDS = ("kind", "file", "term", "on_full")  # the others are below "Advanced"


class UploadForm(forms.Form):
    """
    The file and the parameters of an import.

    It has the options of all kinds; each option is for its own kind only.
    """

    kind = forms.ChoiceField(label=_("Contents of the file"))
    file = forms.FileField(
        label=_("File"),
        help_text=_("CSV in UTF-8; comma, semicolon or tab."),
        allow_empty_file=True,
    )
    mode = forms.ChoiceField(label=_("Completeness"), choices=MODES, initial=Mode.DELTA, widget=forms.RadioSelect)
    scope = forms.CharField(
        label=_("Complete list of"),
        required=False,
        max_length=128,
        validators=[plain_text],
        widget=UnfoldAdminTextInputWidget,
        help_text=_("term:CODE or course:CODE@TERM. Empty: the chosen term. Of holds: all, or code:CODE."),
    )
    dataset = forms.CharField(
        label=_("Source"),
        initial=DEFAULT_DATASET,
        max_length=64,
        validators=[plain_text],
        widget=UnfoldAdminTextInputWidget,
        help_text=_("The system that the file comes from. Only one import of a source can be active."),
    )
    again = forms.BooleanField(
        label=_("Import again"),
        required=False,
        help_text=_("Import the file even if it is the last file that was applied."),
    )

    def __init__(self, *args: Any, user_id: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = list(importer_classes())
        self.fields["kind"] = forms.ChoiceField(
            label=_("Contents of the file"),
            choices=[(name, translated_label(name)) for name in [*names, ZIP]],
            initial=names[-1],
            widget=forms.RadioSelect,
        )
        for importer in importer_classes().values():
            for option in importer.options:
                self.fields[option.name] = _field(option, user_id, label=option.label, required=False)
        self.full_only = [
            *FULL_ONLY,
            *(each.name for kind in names for each in options_of(kind).values() if each.of_full),
        ]

    @property
    def sections(self) -> dict[str, list[tuple[forms.BoundField, str]]]:
        """The fields other than kind and file, with the kinds that have them: the main ones, and the others."""
        main = [name for name in MAIN_FIELDS if name not in ("kind", "file")]
        others = [
            "mode",
            *self.full_only,
            *(name for name in self.fields if name not in (*MAIN_FIELDS, *self.full_only)),
        ]
        return {
            "main": [(self[name], self._kinds_of(name)) for name in main],
            "advanced": [(self[name], self._kinds_of(name)) for name in dict.fromkeys(others)],
        }

    def _kinds_of(self, name: str) -> str:
        """Return the CSS classes of a field: the kinds of files that have it, and whether only a full file has it."""
        return " ".join(
            [*(f"of-{kind}" for kind in self._kinds(name)), *(["of-full"] if name in self.full_only else [])]
        )

    def _kinds(self, name: str) -> Iterator[str]:
        kinds = [*importer_classes(), ZIP]
        for kind in kinds:
            if name in ("mode", *self.full_only):
                if Mode.FULL in modes_of(kind):
                    yield kind
            elif name in ("dataset", "again") or name in options_of(kind):
                yield kind

    def clean_file(self) -> Any:
        if len(self.files.getlist("file")) > 1:
            raise forms.ValidationError(ONE_FILE, code="one_file")
        return self.cleaned_data["file"]

    def clean(self) -> dict[str, Any]:
        """Leave out the fields of another kind or mode, which the page hides; name the chosen term as the scope."""
        data = super().clean() or self.cleaned_data
        if "kind" not in data or "mode" not in data:
            return data
        if data["mode"] not in modes_of(data["kind"]):
            data["mode"] = Mode.DELTA
        if data["mode"] != Mode.FULL:
            data.update(dict.fromkeys(self.full_only, ""))
        elif not data.get("scope") and data.get("term") and "term" in options_of(data["kind"]):
            data["scope"] = f"term:{data['term']}"
        return data

    @property
    def options(self) -> dict[str, str]:
        """The options of the chosen kind that have a value."""
        names = options_of(self.cleaned_data["kind"])
        values = {name: self.cleaned_data.get(name, "") for name in names}
        return {name: FLAG_SET if value is True else value for name, value in values.items() if value}


def _field(option: Option, user_id: int | None, **attributes: Any) -> forms.Field:
    if option.is_flag or not option.choices:
        attributes["help_text"] = option.help
    if option.is_flag:
        return forms.BooleanField(**attributes)
    if option.offered:
        choices = [("", _("as in the file")), *option.offered(user_id)]
        return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget, **attributes)
    if option.choices:
        choices = [(each, translated_label(OPTION_VALUES.get(each, each))) for each in option.choices]
        return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget, **attributes)
    return forms.CharField(max_length=64, validators=[plain_text], widget=UnfoldAdminTextInputWidget, **attributes)
