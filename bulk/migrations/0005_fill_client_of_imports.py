"""Give every import that an API client has sent, and every undo of one, to this client."""

from typing import Any

from django.conf import settings
from django.db import migrations
from django.db.models import F, OuterRef, Subquery


def fill(apps: Any, schema_editor: Any) -> None:
    Import = apps.get_model("bulk", "Import")
    ApiClient = apps.get_model("school", "ApiClient")
    accounts = ApiClient.objects.filter(user__isnull=False).values("user")
    Import.objects.filter(door="api", undoes=None, actor__in=accounts).update(client=F("actor"))
    of_original = Import.objects.filter(pk=OuterRef("undoes")).values("client")[:1]
    Import.objects.filter(undoes__isnull=False).update(client=Subquery(of_original))


class Migration(migrations.Migration):
    dependencies = [
        ("bulk", "0004_import_client"),
        ("school", "0003_limits_of_clients"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
