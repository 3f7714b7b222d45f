"""Command that deletes stored answers to requests with an Idempotency-Key after 24 hours."""

from typing import Any

from django.utils import timezone

from school.api.idempotency import RETENTION
from school.commands.base import SafeCommand
from school.models import KeptAnswer


class Command(SafeCommand):
    help = "Delete stored responses to requests with an Idempotency-Key after 24 hours."
    examples = ("clear_kept_answers",)

    def handle(self, *args: Any, **options: Any) -> None:
        count, _by_model = KeptAnswer.objects.filter(at__lt=timezone.now() - RETENTION).delete()
        self.stdout.write(f"{count} deleted.")
