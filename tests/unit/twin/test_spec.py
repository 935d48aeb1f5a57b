"""What a manifest may say about causes, and what it hears when it says something else."""

from typing import Any

import pytest

from terag_pipelines.errors import ManifestError
from terag_pipelines.twin.spec import Question, TwinSpec

GOOD: dict[str, Any] = {
    "questions": [{"treatment": "t", "outcome": "y"}],
    "edges": [["x", "t"], ["x", "y"], ["t", "y"]],
    "unobserved": ["x"],
}


def test_a_spec_reads_questions_edges_and_hidden_causes() -> None:
    spec = TwinSpec.from_manifest(GOOD)
    assert spec.questions == (Question("t", "y"),)
    assert spec.edges == (("t", "y"), ("x", "t"), ("x", "y"))
    assert spec.unobserved == {"x"}
    assert spec.variables == {"t", "x", "y"}


def test_without_a_mapping_nothing_is_asked() -> None:
    assert TwinSpec.from_manifest(None).questions == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edges": [["t", "y"], ["y", "z"], ["z", "t"], ["x", "t"]]}, r"cycle through \['t', 'y', 'z'\]"),
        ({"edges": [["t"]]}, r"\['t'\] is not a pair"),
        ({"edges": [["t", "t"]]}, "'t' cannot cause itself"),
        ({"edges": {"t": "y"}}, "edges: a list is expected"),
        ({"edges": [["a", "y"]], "unobserved": []}, "'t' is asked about but no edge names it"),
        ({"questions": [{"treatment": "t"}]}, "is not {treatment: ..., outcome: ...}"),
        ({"questions": [{"treatment": "t", "outcome": "t"}]}, "both treatment and outcome"),
        ({"questions": [{"treatment": "t", "outcome": 3}]}, "does not name two variables"),
        ({"unobserved": ["t"]}, "declared unobserved"),
        ({"unobserved": ["q"]}, r"unobserved \['q'\] are in no edge"),
        ({"unobserved": [" "]}, "is not a name"),
        ({"arrows": []}, r"unknown \['arrows'\]"),
    ],
)
def test_what_is_malformed_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        TwinSpec.from_manifest({**GOOD, **change})


def test_something_else_than_a_mapping_is_an_error() -> None:
    with pytest.raises(ManifestError, match="a mapping with"):
        TwinSpec.from_manifest(["t"])  # type: ignore[arg-type]
