"""Admin of imports."""

from bulk.admin import imports

__all__ = ["imports"]
