"""The form that adds a passkey, with translated labels: allauth leaves one in English, and another untranslated."""

from typing import Any

from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django.utils.translation import gettext as _


class PasskeyForm(AddWebAuthnForm):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["name"].label = _("Name")
        self.fields["passwordless"].label = _("Passwordless")
