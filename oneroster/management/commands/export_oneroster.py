"""Command that exports the CSV files of OneRoster."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from oneroster.bundle import VERSIONS, stream_bundle
from oneroster.mapping import V1P2
from oneroster.publishing import publish
from school.access.access_log import Action, Door, Subject, record
from school.api.date_and_number_parsing import parse_instant
from school.commands.base import SafeCommand
from school.commands.private_files import private_output


class Command(SafeCommand):
    help = "Write the CSV files of OneRoster into a zip, readable only by its owner."
    examples = (
        "export_oneroster roster.zip",
        "export_oneroster changes.zip --version 1.1 --delta-since 2026-09-01T00:00:00Z",
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # ``--version`` of this command is the version of OneRoster, not that of Django.
        return super().create_parser(prog_name, subcommand, **{**kwargs, "conflict_handler": "resolve"})

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE.zip", help="The file to write.")
        parser.add_argument(
            "--version",
            dest="version_of_standard",
            choices=VERSIONS,
            default=V1P2,
            help="The version of OneRoster.",
        )
        parser.add_argument(
            "--delta-since",
            metavar="INSTANT",
            help="Only what has changed since this instant, such as 2026-09-01T00:00:00Z.",
        )

    def handle(self, *, file: str, version_of_standard: str, delta_since: str | None, **options: Any) -> None:
        try:
            since = None if delta_since is None else parse_instant(delta_since)
        except ValidationError as error:
            raise CommandError(f"--delta-since: {error.messages[0]}") from None
        publish()
        record(Action.EXPORTED, Subject.ENROLLMENTS, Door.COMMAND)
        with private_output(file) as target:
            target.buffer.writelines(stream_bundle(version_of_standard, since=since))
