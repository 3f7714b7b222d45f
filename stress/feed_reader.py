"""A client that follows the change feed while other clients write."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import quote

from bench.processes import Failed
from stress.clients import Client
from students.models import EnrollmentEvent

PAGE = 100


class Reader:
    """Reads the change feed from its beginning, page by page, and collects the ids of the events."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.read: list[int] = []
        self.over = False

    def follow(self) -> None:
        """Read until ``over`` is set and the feed has no more events."""
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
        """Return a sentence if the events that were read are not the journal in its order."""
        written = list(EnrollmentEvent.objects.order_by("pk").values_list("pk", flat=True))
        if self.read == written:
            return []
        twice, unread = len(self.read) - len(set(self.read)), len(set(written) - set(self.read))
        return [
            f"The reader missed {unread} of {len(written)} changes, got {twice} twice, or got them in another order."
        ]


@contextmanager
def reading_changes(client: Client) -> Iterator[Reader]:
    """Read the change feed during the block, and to its end after the block."""
    reader = Reader(client)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(reader.follow)
        try:
            yield reader
        finally:
            reader.over = True
            reading.result()
