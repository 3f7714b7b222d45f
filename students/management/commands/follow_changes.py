"""Command that prints the change feed as JSON lines and follows it."""

import time
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import OperationalError

from school.access.access_log import Action, Door, Subject, record
from school.api.row_json import encode_json
from school.commands.base import SafeCommand
from school.commands.output import escape_control_characters
from school.refusals import Refused
from students.api.serializers import change_template
from students.events.feed import LATEST, read_changes

PAGE = 500  # the number of changes that are read at a time
PAUSE = 0.5  # seconds between two reads when there are no new changes


class Command(SafeCommand):
    help = "Print each change of an enrollment as a JSON line with its cursor, and follow new changes."
    examples = ("follow_changes --once", "follow_changes --from-now", "follow_changes --after CURSOR")
    exit_codes: ClassVar[Mapping[int, str]] = {
        0: "all changes are printed (--once), or interrupted",
        1: "stopped; the message has the reason and the last cursor",
        2: "the command line is wrong",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--after", metavar="CURSOR", default="", help="Start after this cursor.")
        parser.add_argument("--from-now", action="store_true", help="Skip earlier changes.")
        parser.add_argument("--once", action="store_true", help="Exit when all changes are printed.")

    def handle(self, *, after: str, from_now: bool, once: bool, **options: Any) -> None:
        record(Action.EXPORTED, Subject.ENROLLMENTS, Door.COMMAND)
        cursor = LATEST if from_now else after
        template = change_template()
        output = self.stdout.data
        try:
            while True:
                page = read_changes(cursor, PAGE, lambda: template.expressions, shape="full")
                for entry in page.entries:
                    cursor = entry.cursor
                    change = template.render(None, entry.columns)
                    output.write(escape_control_characters(f'{{"cursor":{encode_json(cursor)},{change[1:]}\n'))
                output.flush()
                cursor = page.cursor
                if not page.has_more:
                    if once:
                        return
                    time.sleep(PAUSE)
        except KeyboardInterrupt:
            return
        except (ValidationError, Refused) as error:
            raise CommandError(" ".join(getattr(error, "messages", [str(error)]))) from None
        except OperationalError as error:
            why = str(error).partition("\n")[0]
            raise CommandError(f"The database failed ({why}). Continue with --after {cursor}") from None
