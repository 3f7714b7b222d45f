"""The admin form that uploads a file."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminFileFieldWidget

from bulk.importers.base import FLAG_SET, Option
from bulk.importers.registry import importer_classes, options_of
from bulk.labels import ONE_FILE, translated_label
from bulk.models import DEFAULT_DATASET, ZIP, Mode, OnError
from school.validators import plain_text


class UploadForm(forms.Form):
    """
    The file and the parameters of an import.

    It has the options of all kinds; each option is for its own kind only.
    """

    kind = forms.ChoiceField(label=_("Kind of rows"))
    file = forms.FileField(
        label=_("File"),
        help_text=_(
            "CSV in UTF-8; comma, semicolon or tab. "
            "Or a zip of terms.csv, students.csv, courses.csv and enrollments.csv."
        ),
        allow_empty_file=True,
        widget=UnfoldAdminFileFieldWidget,
    )
    on_error = forms.ChoiceField(label=_("If rows have errors"), choices=OnError.choices)
    mode = forms.ChoiceField(label=_("Mode"), choices=Mode.choices)
    scope = forms.CharField(
        label=_("Scope"),
        required=False,
        max_length=128,
        validators=[plain_text],
        help_text=_("The scope of a full file: term:CODE or course:CODE@TERM."),
    )
    dataset = forms.CharField(
        label=_("Dataset"),
        initial=DEFAULT_DATASET,
        max_length=64,
        validators=[plain_text],
        help_text=_("The source of the file. Only one import of a dataset can be active."),
    )
    again = forms.BooleanField(
        label=_("Import again"),
        required=False,
        help_text=_("Import the file even if it is the last file that was applied."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = list(importer_classes())
        self.fields["kind"] = forms.ChoiceField(
            label=_("Kind of rows"),
            choices=[(name, translated_label(name)) for name in [*names, ZIP]],
            initial=names[-1],
        )
        for kind, importer in importer_classes().items():
            for option in importer.options:
                text = f"{translated_label(kind)}: {option.help}"
                self.fields[option.name] = _field(option, label=option.label, help_text=text, required=False)

    def clean_file(self) -> Any:
        if len(self.files.getlist("file")) > 1:
            raise forms.ValidationError(ONE_FILE, code="one_file")
        return self.cleaned_data["file"]

    @property
    def options(self) -> dict[str, str]:
        """The options of the chosen kind that have a value."""
        names = options_of(self.cleaned_data["kind"])
        values = {name: self.cleaned_data.get(name, "") for name in names}
        return {name: FLAG_SET if value is True else value for name, value in values.items() if value}


def _field(option: Option, **attributes: Any) -> forms.Field:
    if option.is_flag:
        return forms.BooleanField(**attributes)
    if option.choices:
        return forms.ChoiceField(choices=[(each, translated_label(each)) for each in option.choices], **attributes)
    return forms.CharField(max_length=64, validators=[plain_text], **attributes)
