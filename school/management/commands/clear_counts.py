from typing import Any

from django.core.management.base import BaseCommand

from school.counting import clear_ended


class Command(BaseCommand):
    help = "Delete the counts of requests whose minute has ended."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{clear_ended()} deleted.")
