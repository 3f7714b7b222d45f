"""What may stand in an address."""

from school.validators import parse_id


class IdConverter:
    """A database id. What cannot be one, an integer beyond 64 bits for example, is no address: 404."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        parsed = parse_id(value)
        if parsed is None:
            raise ValueError(value)
        return parsed

    def to_url(self, value: int) -> str:
        return str(value)
