"""Lines of progress, at regular times, so that a command never works in silence."""

import threading
import time
from collections.abc import Callable
from typing import Self

FIRST = 0.5  # seconds until the first line
INTERVAL = 5.0  # seconds between two lines


class ProgressLines:
    """
    Writes a line of progress half a second after the block has begun, then one every five seconds.

    ``describe`` returns the line. A line that the block itself writes with ``write`` postpones the next one.
    """

    def __init__(self, output: Callable[[str], object], describe: Callable[[], str]) -> None:
        self.output = output
        self.describe = describe
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self.due = time.monotonic() + FIRST
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def write(self, text: str) -> None:
        self.due = time.monotonic() + INTERVAL
        self.output(text)

    def _run(self) -> None:
        while not self.ended.wait(max(self.due - time.monotonic(), 0.05)):
            if time.monotonic() >= self.due:
                self.write(self.describe())
