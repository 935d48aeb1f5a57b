"""YAML as it was meant: a key that stands twice is an error, where YAML's own loaders keep the last one."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.composer import ComposerError

_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
YAML_ERRORS = (yaml.YAMLError, RecursionError, ValueError)
"""What `load_yaml` raises."""


def load_yaml(text: str, loader: type[StrictLoader] | None = None) -> Any:
    """The content of a YAML document. Raises: one of YAML_ERRORS; `yaml_problem` puts it in words."""
    return yaml.load(text, loader or StrictLoader)  # noqa: S506 - both loaders are safe ones


def yaml_problem(error: BaseException) -> str:
    """Where and why a text is not valid YAML, to stand behind the name of its file."""
    mark = getattr(error, "problem_mark", None)
    at = f", line {mark.line + 1}" if mark else ""
    return f"{at}: not valid YAML: {getattr(error, 'problem', None) or 'malformed'}"


class StrictLoader(yaml.SafeLoader):
    """Refuses a mapping that gives a key twice."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        """The mapping, as yaml composes it. Raises: ComposerError where a key stands twice."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            self.note_key(key, seen)
        return node

    def note_key(self, key: Any, seen: set[str]) -> None:
        """Notes a key among those of its mapping. Raises: ComposerError where it is there already."""
        if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
            if key.value in seen:
                raise ComposerError(None, None, f"the key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)


class PlainLoader(StrictLoader):
    """Takes only what JSON can hold: keys are texts, and no alias makes a small text huge or endless."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The node, as yaml composes it. Raises: ComposerError for an alias."""
        if self.check_event(yaml.AliasEvent):
            raise ComposerError(None, None, "an alias is not allowed here", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def note_key(self, key: Any, seen: set[str]) -> None:
        """Refuses keys that are no text, such as dates and numbers without quotes."""
        if key.tag != _TEXT:
            raise ComposerError(None, None, "a key must be a text; put it in quotes", key.start_mark)
        super().note_key(key, seen)
