from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from school.api.idempotency import KEPT_FOR
from school.models import KeptAnswer


class Command(BaseCommand):
    help = "Delete the answers to requests with an Idempotency-Key that are older than 24 hours."

    def handle(self, *args: Any, **options: Any) -> None:
        count, _by_model = KeptAnswer.objects.filter(at__lt=timezone.now() - KEPT_FOR).delete()
        self.stdout.write(f"{count} deleted.")
