import os
import time
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from rest_framework.renderers import JSONRenderer

from school.disclosures import Action, Door, Subject, record
from school.refusals import Refused
from students.changes import LATEST, cursor_at, read_changes
from students.serializers import ChangeSerializer

PAGE = 500
PAUSE = 0.5  # seconds between two looks where nothing has happened


class Command(BaseCommand):
    help = "Print every change of every enrollment as a JSON line with its cursor, and go on as they happen."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--after", metavar="CURSOR", default="", help="Go on behind this cursor.")
        parser.add_argument("--from-now", action="store_true", help="Leave out what has happened so far.")
        parser.add_argument("--once", action="store_true", help="Stop where there is nothing more to read.")

    def handle(self, *, after: str, from_now: bool, once: bool, **options: Any) -> None:
        record(Action.EXPORTED, Subject.ENROLLMENTS, Door.COMMAND)
        cursor = LATEST if from_now else after
        render = JSONRenderer().render
        try:
            while True:
                page = read_changes(cursor, PAGE)
                for event in page.events:
                    line = {"cursor": cursor_at(event.pk), **ChangeSerializer(event).data}
                    self.stdout.write(render(line).decode())
                    cursor = line["cursor"]
                self.stdout.flush()
                cursor = page.cursor
                if not page.has_more:
                    if once:
                        return
                    time.sleep(PAUSE)
        except KeyboardInterrupt:
            return
        except BrokenPipeError:  # who reads has seen enough; Python would complain once more when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
        except (ValidationError, Refused) as error:
            raise CommandError(" ".join(getattr(error, "messages", [str(error)]))) from None
        except OperationalError as error:
            why = str(error).partition("\n")[0]
            raise CommandError(f"The database gave up ({why}). Go on with --after {cursor}") from None
