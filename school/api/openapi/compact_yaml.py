"""Writes the YAML of the OpenAPI document with each short object and list on one line, and examples as in JSON."""

from typing import Any

import yaml

MAX_WIDTH = 200
MAX_SHORT = 800  # the number of characters of an object or list on one line


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_object(self, data: dict[str, Any]) -> yaml.Node:
        node = self.represent_mapping("tag:yaml.org,2002:map", data.items())
        node.flow_style = len(str(data)) <= MAX_SHORT
        if data.keys() == {"value"} and isinstance(data["value"], dict):  # an example
            [(_name, example)] = node.value
            example.flow_style = True
        return node

    def represent_array(self, data: list[Any]) -> yaml.Node:
        node = self.represent_sequence("tag:yaml.org,2002:seq", data)
        node.flow_style = len(str(data)) <= MAX_SHORT
        return node


_Dumper.add_representer(dict, _Dumper.represent_object)
_Dumper.add_representer(list, _Dumper.represent_array)


def compact(document: Any) -> str:
    """Return a document of JSON's types as YAML that is short, and has one line where a reader expects one."""
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=MAX_WIDTH)
    return text
