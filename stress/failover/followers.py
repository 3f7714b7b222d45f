"""A reader of the change feed, and a sender of imports, which go on during all faults."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from stress.failover.clients import PAUSE, Link

PAGE = 500
ROWS = 600  # rows of an import
INTERVAL = 5.0  # seconds between two imports
FINAL_WITHIN = 180.0  # seconds
ENDED = ("done", "done_with_errors", "failed", "cancelled")


class FeedReader:
    """Reads the change feed from its beginning with the cursors that it is given, and keeps the ids of the entries."""

    def __init__(self, link: Link) -> None:
        self.link, self.cursor = link, ""
        self.read: list[int] = []
        self.problems: list[str] = []
        self.over = threading.Event()

    def follow(self) -> None:
        """Read until ``over`` is set and the feed has no more entries."""
        failures_until = 0.0
        while not self.problems:
            is_last = self.over.is_set()
            path = f"changes?after={quote(self.cursor)}&limit={PAGE}&wait={0 if is_last else 1}"
            status, page, _request_id = self.link.ask("GET", path)
            if status == 200:
                failures_until = 0.0
                self.read += [event["id"] for event in page["results"]]
                self.cursor = page["cursor"]
                if is_last and not page["has_more"]:
                    return
            elif status in (0, 503):
                failures_until = failures_until or time.monotonic() + FINAL_WITHIN
                if time.monotonic() > failures_until:
                    self.problems.append("The change feed was not answered for three minutes.")
                time.sleep(PAUSE)
            else:
                self.problems.append(f"The change feed was answered {status}: {page}")


@dataclass
class SentImport:
    course_code: str
    student_numbers: Sequence[str]
    import_id: int | None = None
    state: str = "sending"
    counts: dict[str, int] = field(default_factory=dict)


class ImportSender:
    """Sends one import after the other, each of all its students into a course of its own, and waits for its end."""

    def __init__(self, link: Link, student_numbers: Sequence[str], course_codes: Iterator[str]) -> None:
        self.link, self.student_numbers, self.course_codes = link, student_numbers, course_codes
        self.sent: list[SentImport] = []
        self.unexpected: list[str] = []
        self.over, self.wanted = threading.Event(), threading.Event()

    def send_all(self) -> None:
        while not self.over.is_set():
            code = next(self.course_codes, None)
            if code is None:
                return
            job = SentImport(code, self.student_numbers)
            self.sent.append(job)
            self._send(job)
            self.wanted.wait(INTERVAL)
            self.wanted.clear()

    @property
    def is_applying(self) -> bool:
        return bool(self.sent) and self.sent[-1].state in ("validating", "applying")

    def _send(self, job: SentImport) -> None:
        rows = "".join(f"{number},{job.course_code}\n" for number in job.student_numbers)
        deadline = time.monotonic() + FINAL_WITHIN
        while time.monotonic() < deadline and job.state not in ENDED:
            if job.import_id is None:
                path = "imports?kind=enrollments&dataset=stress&on_error=skip&review=needed"
                status, content, _request_id = self.link.ask("POST", path, f"student_number,course_code\n{rows}")
                if status in (200, 202):
                    job.import_id = content["id"]
                elif status == 409 and "import" in content:  # an earlier attempt, whose answer was lost, is in progress
                    job.import_id = content["import"]
                elif status not in (0, 503):
                    self.unexpected.append(f"An import was answered {status}: {content}")
            else:
                status, content, _request_id = self.link.ask("GET", f"imports/{job.import_id}")
                if status == 200:
                    job.state, job.counts = content["state"], content["counts"]
                elif status not in (0, 503):
                    self.unexpected.append(f"Import {job.import_id} was answered {status}: {content}")
                    return
            time.sleep(PAUSE)


@contextmanager
def following(reader: FeedReader, sender: ImportSender) -> Iterator[None]:
    """Read the feed and send imports during the block; finish both after it."""
    reading = threading.Thread(target=reader.follow, daemon=True)
    sending = threading.Thread(target=sender.send_all, daemon=True)
    for thread in (reading, sending):
        thread.start()
    yield
    sender.over.set()
    sender.wanted.set()
    sending.join(FINAL_WITHIN + 10)
    reader.over.set()
    reading.join(FINAL_WITHIN + 10)
