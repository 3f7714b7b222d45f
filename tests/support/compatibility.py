"""
Differences between two OpenAPI documents that break clients.

A client sends requests that the earlier document allows, and reads responses that it describes. A request must stay
allowed, and what a response always has must stay. New operations, optional parameters, members of responses and values
of their enumerations are additions.
"""

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]
LIMITS = {"maxLength": 1, "maximum": 1, "maxItems": 1, "minLength": -1, "minimum": -1, "minItems": -1}


class Comparison:
    """Compares an earlier document with a later one. Places are named like ``get /terms 200 results[] code``."""

    def __init__(self, earlier: Document, later: Document) -> None:
        self.earlier, self.later = earlier, later
        self.compared: set[tuple[str, int, int]] = set()  # schemas may refer to themselves
        self.extended: dict[int, Document] = {}  # maps the id of a schema to that with the members that it extends

    def differences(self) -> Iterator[str]:
        """Yield each difference that breaks clients, with its place."""
        for path, methods in self.earlier["paths"].items():
            for method, operation in methods.items():
                place = f"{method} {path}"
                now = self.later["paths"].get(path, {}).get(method)
                if now is None:
                    yield f"{place}: removed"
                    continue
                yield from self._parameters(place, operation, now)
                yield from self._bodies(place, operation, now)
                yield from self._responses(place, operation, now)

    def _parameters(self, place: str, earlier: Document, later: Document) -> Iterator[str]:
        before = {(each["in"], each["name"]): each for each in self._all(self.earlier, earlier.get("parameters", []))}
        after = {(each["in"], each["name"]): each for each in self._all(self.later, later.get("parameters", []))}
        for key, each in before.items():
            if key not in after:
                yield f"{place} {key[1]}: removed"
            else:
                yield from self._narrowed(f"{place} {key[1]}", each["schema"], after[key]["schema"])
        for key, each in after.items():
            if each.get("required") and not before.get(key, {}).get("required"):
                yield f"{place} {key[1]}: required"

    def _bodies(self, place: str, earlier: Document, later: Document) -> Iterator[str]:
        before, after = self._body(self.earlier, earlier), self._body(self.later, later)
        if after.get("required") and not before.get("required"):
            yield f"{place} body: required"
        for media_type, content in before.get("content", {}).items():
            if media_type not in after.get("content", {}):
                yield f"{place} body {media_type}: removed"
            else:
                yield from self._narrowed(f"{place} body", content["schema"], after["content"][media_type]["schema"])

    def _responses(self, place: str, earlier: Document, later: Document) -> Iterator[str]:
        for status, response in earlier["responses"].items():
            if not status.startswith("2"):
                continue
            now = later["responses"].get(status)
            if now is None:
                yield f"{place} {status}: removed"
                continue
            before, after = self._target(self.earlier, response), self._target(self.later, now)
            for media_type, content in before.get("content", {}).items():
                if media_type not in after.get("content", {}):
                    yield f"{place} {status} {media_type}: removed"
                else:
                    now = after["content"][media_type]["schema"]
                    yield from self._widened(f"{place} {status}", content["schema"], now)

    def _narrowed(self, place: str, earlier: Any, later: Any) -> Iterator[str]:
        """Yield the values that the earlier schema allows and the later one refuses."""
        before, after = self._pair("request", earlier, later)
        if before is None:
            return
        if types_of(after) and not types_of(before) <= types_of(after):
            yield f"{place}: another type"
        if "enum" in after and not set(before.get("enum", [])) <= set(after["enum"]):
            yield f"{place}: fewer values"
        for name, sign in LIMITS.items():
            if name in after and (name not in before or (after[name] - before[name]) * sign < 0):
                yield f"{place}: stricter {name}"
        if "pattern" in after and after["pattern"] != before.get("pattern"):
            yield f"{place}: another pattern"
        properties = after.get("properties", {})
        for name, each in before.get("properties", {}).items():
            if name not in properties:
                yield f"{place} {name}: removed"
            else:
                yield from self._narrowed(f"{place} {name}", each, properties[name])
        for name in set(after.get("required", [])) - set(before.get("required", [])):
            yield f"{place} {name}: required"
        if "items" in before and "items" in after:
            yield from self._narrowed(f"{place}[]", before["items"], after["items"])

    def _widened(self, place: str, earlier: Any, later: Any) -> Iterator[str]:
        """Yield the members and types on which a reader of the earlier schema relies and which it loses."""
        before, after = self._pair("response", earlier, later)
        if before is None:
            return
        if types_of(before) and not (types_of(after) and types_of(after) <= types_of(before)):
            yield f"{place}: another type"
        properties = after.get("properties", {})
        for name, each in before.get("properties", {}).items():
            if name not in properties:
                yield f"{place} {name}: removed"
                continue
            if name in before.get("required", []) and name not in after.get("required", []):
                yield f"{place} {name}: not always there"
            yield from self._widened(f"{place} {name}", each, properties[name])
        if "items" in before and "items" in after:
            yield from self._widened(f"{place}[]", before["items"], after["items"])

    def _pair(self, direction: str, earlier: Any, later: Any) -> Any:
        """Return both schemas; None for both if they have been compared at an earlier place."""
        before, after = self._target(self.earlier, earlier), self._target(self.later, later)
        key = (direction, id(before), id(after))
        if key in self.compared and ("$ref" in earlier or "$ref" in later):
            return None, None
        self.compared.add(key)
        return before, after

    def _all(self, document: Document, parts: list[Document]) -> list[Document]:
        return [self._target(document, each) for each in parts]

    def _body(self, document: Document, operation: Document) -> Document:
        return self._target(document, operation.get("requestBody", {}))

    def _target(self, document: Document, part: Document) -> Document:
        """
        Return a part of a document, or the component that it refers to, alone or among alternatives.

        A schema that extends another one has the members of both.
        """
        if "allOf" in part:
            extended = self._target(document, part["allOf"][0])
            more = {key: value for key, value in part.items() if key != "allOf"}
            return self.extended.setdefault(id(part), {**extended, **more})
        for key in ("anyOf", "oneOf"):
            if key in part:
                part = part[key][0]
        if "$ref" not in part:
            return part
        found: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return self._target(document, found)


def types_of(schema: Document) -> set[str]:
    """Return the JSON types of a schema. A number may be an integer."""
    types = schema.get("type", [])
    found = {types} if isinstance(types, str) else set(types)
    return found | ({"integer"} if "number" in found else set())


def breaking(earlier: Document, later: Document) -> list[str]:
    """Return the differences that break clients of the earlier document."""
    return sorted(set(Comparison(earlier, later).differences()))
