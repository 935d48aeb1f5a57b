"""The causal questions and the graph that a manifest states under `twin:`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from terag_pipelines.errors import ManifestError

KNOWN_KEYS = ("questions", "edges", "unobserved")


@dataclass(frozen=True, order=True)
class Question:
    """What would a change of the treatment do to the outcome?"""

    treatment: str
    outcome: str


@dataclass(frozen=True)
class TwinSpec:
    """Questions over a panel, the assumed graph as (cause, effect) pairs, and causes that nobody measured."""

    questions: tuple[Question, ...]
    edges: tuple[tuple[str, str], ...]
    unobserved: frozenset[str] = frozenset()

    @classmethod
    def from_manifest(cls, mapping: Mapping[str, Any] | None) -> TwinSpec:
        """The spec of a manifest's `twin:` mapping; without one, a spec without questions.

        Raises: ManifestError where it is malformed, a question is not in the graph, or the graph has a cycle.
        """
        if mapping is None:
            return cls((), ())
        if not isinstance(mapping, Mapping):
            raise ManifestError(f"twin: a mapping with {', '.join(KNOWN_KEYS)} is expected")
        if unknown := sorted(set(mapping) - set(KNOWN_KEYS)):
            raise ManifestError(f"twin: unknown {unknown}, known are {list(KNOWN_KEYS)}")
        edges = tuple(sorted({_edge(item) for item in _list(mapping, "edges")}))
        questions = tuple(sorted({_question(item) for item in _list(mapping, "questions")}))
        spec = cls(questions, edges, frozenset(_names(mapping)))
        spec.check()
        return spec

    @property
    def variables(self) -> frozenset[str]:
        """Every variable that the graph names."""
        return frozenset(name for edge in self.edges for name in edge)

    def check(self) -> None:
        """Raises: ManifestError where a question has no edge or is unobserved, or the graph has a cycle."""
        for question in self.questions:
            for name in (question.treatment, question.outcome):
                if name not in self.variables:
                    raise ManifestError(f"twin: {name!r} is asked about but no edge names it")
                if name in self.unobserved:
                    raise ManifestError(f"twin: {name!r} is asked about but is declared unobserved")
        if unknown := sorted(self.unobserved - self.variables):
            raise ManifestError(f"twin: unobserved {unknown} are in no edge")
        if stuck := _nodes_on_cycles(self.edges):
            raise ManifestError(f"twin: the edges form a cycle through {stuck}")


def _list(mapping: Mapping[str, Any], key: str) -> list[Any]:
    value = mapping.get(key) or []
    if not isinstance(value, list):
        raise ManifestError(f"twin.{key}: a list is expected")
    return value


def _edge(item: Any) -> tuple[str, str]:
    if not isinstance(item, list | tuple) or len(item) != 2 or not all(_is_name(name) for name in item):
        raise ManifestError(f"twin.edges: {item!r} is not a pair [cause, effect]")
    if item[0] == item[1]:
        raise ManifestError(f"twin.edges: {item[0]!r} cannot cause itself")
    return item[0], item[1]


def _question(item: Any) -> Question:
    if not isinstance(item, Mapping) or set(item) != {"treatment", "outcome"}:
        raise ManifestError(f"twin.questions: {item!r} is not {{treatment: ..., outcome: ...}}")
    if not _is_name(item["treatment"]) or not _is_name(item["outcome"]):
        raise ManifestError(f"twin.questions: {item!r} does not name two variables")
    if item["treatment"] == item["outcome"]:
        raise ManifestError(f"twin.questions: {item['treatment']!r} is both treatment and outcome")
    return Question(item["treatment"], item["outcome"])


def _names(mapping: Mapping[str, Any]) -> Iterable[str]:
    for name in _list(mapping, "unobserved"):
        if not _is_name(name):
            raise ManifestError(f"twin.unobserved: {name!r} is not a name")
        yield name


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _nodes_on_cycles(edges: tuple[tuple[str, str], ...]) -> list[str]:
    """What is left when nodes without causes or without effects are taken away until there are none."""
    left = set(edges)
    while True:
        inner = {a for a, _ in left} & {b for _, b in left}
        kept = {(a, b) for a, b in left if a in inner and b in inner}
        if kept == left:
            return sorted({name for edge in left for name in edge})
        left = kept
