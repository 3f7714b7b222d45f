"""Somebody who reads every change as it comes, while others make them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import quote

from bench.processes import Failed
from stress.clients import Client
from students.models import EnrollmentEvent

PAGE = 100


class Reader:
    """Reads the change feed from its beginning, page by page, and notes the ids of what it is given."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.read: list[int] = []
        self.over = False

    def follow(self) -> None:
        """Read until it is over and nothing is left to read."""
        cursor = ""
        while True:
            is_last = self.over
            path = f"changes?after={quote(cursor)}&limit={PAGE}&wait={0 if is_last else 1}"
            status, page, _is_first = self.client.call("GET", path)
            if status != 200:
                raise Failed(f"GET changes was answered {status}.")
            self.read += [event["id"] for event in page["results"]]
            cursor = page["cursor"]
            if is_last and not page["has_more"]:
                return

    def missed(self) -> list[str]:
        """Return a sentence for every way in which what was read is not the journal in its order."""
        written = list(EnrollmentEvent.objects.order_by("pk").values_list("pk", flat=True))
        if self.read == written:
            return []
        twice, unread = len(self.read) - len(set(self.read)), len(set(written) - set(self.read))
        return [
            f"Who read the changes has missed {unread} of {len(written)} and seen {twice} twice, or in another order."
        ]


@contextmanager
def somebody_reading(client: Client) -> Iterator[Reader]:
    """Let somebody read meanwhile; after the block they have read to the end."""
    reader = Reader(client)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(reader.follow)
        try:
            yield reader
        finally:
            reader.over = True
            reading.result()
