"""Command that prints the change feed as JSON lines and follows it."""

import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import OperationalError

from school.access.access_log import Action, Door, Subject, record
from school.api.row_json import encode_json
from school.commands.base import SafeCommand
from school.commands.output import escape_control_characters
from school.refusals import Refused
from students.api.change_lines import read_lines
from students.api.serializers import change_template
from students.events.feed import LATEST, read_changes
from students.events.feed_of_kinds import encode_positions, positions_after
from students.events.kinds import ENROLLMENTS, KINDS, STUDENTS, Kind

PAGE = 500  # the number of changes that are read at a time
PAUSE = 0.5  # seconds between two reads when there are no new changes


Line = tuple[str, str]  # the cursor after a change, and the change as JSON


def parse_kinds(text: str) -> list[Kind]:
    """Return the kinds with these names; raise ``ArgumentTypeError`` if one does not exist."""
    names = text.split(",")
    if set(names) - set(KINDS):
        raise ArgumentTypeError(f"choose from {', '.join(KINDS)}, separated by commas")
    return [kind for kind in KINDS.values() if kind.name in names]


class Command(SafeCommand):
    help = "Print each change of an enrollment as a JSON line with its cursor, and follow new changes."
    examples = (
        "follow_changes --once",
        "follow_changes --from-now",
        "follow_changes --after CURSOR",
        "follow_changes --kinds students,courses",
    )
    exit_codes: ClassVar[Mapping[int, str]] = {
        0: "all changes are printed (--once), or interrupted",
        1: "stopped; the message has the reason and the last cursor",
        2: "the command line is wrong",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--after", metavar="CURSOR", default="", help="Start after this cursor.")
        parser.add_argument("--from-now", action="store_true", help="Skip earlier changes.")
        parser.add_argument("--once", action="store_true", help="Exit when all changes are printed.")
        parser.add_argument(
            "--kinds",
            type=parse_kinds,
            help=f"Print changes of these kinds, separated by commas: {', '.join(KINDS)}. Default: enrollments.",
        )

    def handle(self, *, after: str, from_now: bool, once: bool, kinds: Sequence[Kind], **options: Any) -> None:
        if not kinds or ENROLLMENTS in kinds:
            record(Action.EXPORTED, Subject.ENROLLMENTS, Door.COMMAND)
        if kinds and STUDENTS in kinds:
            record(Action.EXPORTED, Subject.STUDENTS, Door.COMMAND)
        cursor = LATEST if from_now else after
        output = self.stdout.data
        try:
            while True:
                lines, next_cursor, has_more = _read_kinds(kinds, cursor) if kinds else _read(cursor)
                for cursor, change in lines:
                    output.write(escape_control_characters(f'{{"cursor":{encode_json(cursor)},{change[1:]}\n'))
                output.flush()
                cursor = next_cursor
                if not has_more:
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


def _read(cursor: str) -> tuple[Iterator[Line], str, bool]:
    """Return the changes of enrollments after a cursor, the next cursor, and whether there are more."""
    template = change_template()
    page = read_changes(cursor, PAGE, lambda: template.expressions, shape="full")
    lines = ((entry.cursor, template.render(None, entry.columns)) for entry in page.entries)
    return lines, page.cursor, page.has_more


def _read_kinds(kinds: Sequence[Kind], cursor: str) -> tuple[Iterator[Line], str, bool]:
    """Do the same for changes of several kinds."""
    positions = dict(positions_after(cursor, kinds))
    page = read_lines(kinds, positions, PAGE)

    def lines() -> Iterator[Line]:
        for line in page.lines:
            positions[line.kind] = line.position
            yield encode_positions(positions), line.json

    return lines(), encode_positions(page.positions), page.has_more
