"""Django's command for migrations, with the help, the errors and the end of School's own commands."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError

from school.commands.base import SafeCommand, database_failure

AGAIN = "A migration is applied completely or not at all: run manage.py migrate again."


class Command(SafeCommand, migrate.Command):
    examples = ("migrate", "migrate --plan")
    interrupted_message = AGAIN

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            super().handle(*args, **options)
        except OperationalError as error:
            raise CommandError(f"{database_failure(error)} {AGAIN}") from None
