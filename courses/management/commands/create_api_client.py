"""Command that creates an API client and prints its credentials."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from courses.api_client_creation import create_api_client
from school.commands.base import SafeCommand
from school.refusals import Refused


class Command(SafeCommand):
    help = "Create an API client and print its credentials. The secret is stored as a hash and cannot be shown again."
    examples = (
        'create_api_client portal --scope "students:read courses:read"',
        'create_api_client lms --scope "enrollments:read enrollments:write" --term 2026F',
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="The name of the client.")
        parser.add_argument(
            "--scope", required=True, help='The scopes of the client, for example "students:read courses:read".'
        )
        parser.add_argument(
            "--term",
            metavar="CODE",
            action="append",
            default=[],
            help="Limit the client to the term with this code. Repeatable.",
        )
        parser.add_argument(
            "--course",
            metavar="CODE",
            action="append",
            default=[],
            help="Limit the client to this course, for example MATH-101@2026F or MATH-101@2026F@B. Repeatable.",
        )
        parser.add_argument("--json", action="store_true", help="Print the credentials as JSON.")

    def handle(self, *, name: str, scope: str, **options: Any) -> None:
        try:
            created = create_api_client(name, scope, terms=options["term"], courses=options["course"])
            credentials = asdict(created)
        except Refused as refused:
            raise CommandError(str(refused)) from None
        if options["json"]:
            self.stdout.write(json.dumps(credentials))
        else:
            for field, value in credentials.items():
                self.stdout.write(f"{field}={value}")
