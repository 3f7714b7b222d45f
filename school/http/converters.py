"""URL path converters."""

from school.identifiers import parse_ids


class IdConverter:
    """A database id. A value that cannot be one, such as an integer beyond 64 bits, does not match: 404."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        for parsed in parse_ids(value):
            return parsed
        raise ValueError(value)

    def to_url(self, value: int) -> str:
        return str(value)
