"""The admin's home page and its statistics."""
