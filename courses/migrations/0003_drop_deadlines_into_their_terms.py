"""
Move drop deadlines outside of their term to its nearest day, before a constraint refuses them.

Each changed term gets a row in its history. The reverse leaves the deadlines as they are.
"""

from typing import Any

from django.db import migrations
from django.db.models import F, Q
from django.utils import timezone

REASON = "The drop deadline was outside of the term."


def move_into_terms(apps: Any, schema_editor: Any) -> None:
    terms, history = apps.get_model("courses", "Term").objects, apps.get_model("courses", "HistoricalTerm").objects
    outside = terms.filter(Q(drop_deadline__lt=F("starts_on")) | Q(drop_deadline__gt=F("ends_on")))
    for term in outside.order_by("pk"):
        term.drop_deadline = min(max(term.drop_deadline, term.starts_on), term.ends_on)
        term.save(update_fields=["drop_deadline"])
        history.create(
            **{field.attname: getattr(term, field.attname) for field in terms.model._meta.concrete_fields},
            history_date=timezone.now(),
            history_type="~",
            history_change_reason=REASON,
        )


class Migration(migrations.Migration):
    dependencies = [("courses", "0002_course_staff")]

    operations = [migrations.RunPython(move_into_terms, migrations.RunPython.noop)]
