"""Middleware that finds the static files once in a process, and not once for each test client."""

from typing import Any, ClassVar

from whitenoise.middleware import WhiteNoiseMiddleware


class CachedWhiteNoiseMiddleware(WhiteNoiseMiddleware):
    """Shares the list of files: finding and reading them takes longer than most requests."""

    found: ClassVar[dict[str, Any]] = {}

    def add_files_from_finders(self) -> None:
        if not self.found:
            super().add_files_from_finders()
            self.found.update(self.files)
        self.files: dict[str, Any] = self.found
