"""How the code reads: rules of the house that a machine can hold."""

from __future__ import annotations

import ast
import importlib
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("terag_pipelines", "assets", "resources", "serving")
DOMAIN = sorted(
    path.name
    for path in (ROOT / "terag_pipelines").iterdir()
    if path.is_dir() and path.name not in ("cli", "__pycache__")
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def files(*packages: str) -> Iterator[tuple[Path, ast.Module]]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text())


def functions() -> Iterator[tuple[str, Function]]:
    for path, tree in files(*PACKAGES):
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield f"{path}:{node.lineno} {node.name}", node


def n_lines(function: Function) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def is_asset(function: Function) -> bool:
    return any("asset" in ast.unparse(decorator).split("(")[0] for decorator in function.decorator_list)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_generic_package_name_resolves_inside_this_repository(package: str) -> None:
    found = importlib.import_module(package).__file__
    assert found
    assert Path(found).is_relative_to(ROOT)


def test_functions_are_short() -> None:
    lengths = {name: n_lines(function) for name, function in functions()}
    assert {name: n for name, n in lengths.items() if n > 50} == {}
    assert statistics.median(lengths.values()) <= 8


def test_asset_bodies_have_at_most_fifteen_statements() -> None:
    long = {}
    for path, tree in files("assets"):
        for node in ast.walk(tree):
            if isinstance(node, Function) and is_asset(node):
                n_statements = sum(isinstance(child, ast.stmt) for child in ast.walk(node)) - 1
                if n_statements > 15:
                    long[f"{path} {node.name}"] = n_statements
    assert long == {}


def test_what_is_public_says_what_it_is() -> None:
    silent = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in files(*PACKAGES)
        for node in _public(tree)
        if not ast.get_docstring(node)
    ]
    assert silent == []


def _public(tree: ast.Module) -> Iterator[Function | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    child
                    for child in node.body
                    if isinstance(child, Function) and not child.name.startswith("_")
                )


def test_the_domain_reads_no_environment_and_no_clock() -> None:
    forbidden = ("os.environ", "os.getenv", "datetime.now", "date.today", "time.time", "datetime.utcnow")
    found = [
        f"{path}:{node.lineno} {ast.unparse(node)}"
        for room in DOMAIN
        for path, tree in files(f"terag_pipelines/{room}")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node).endswith(forbidden)
    ]
    assert found == []


def test_only_settings_reads_the_environment() -> None:
    found = {
        str(path)
        for path, tree in files("resources", "serving", "assets")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv")
    }
    handing_it_to_children = "resources/processes.py"
    assert found <= {"resources/settings.py", handing_it_to_children}


@pytest.mark.parametrize("package", ["assets", "resources/bindings.py"])
def test_dagster_configuration_is_not_broken_by_postponed_annotations(package: str) -> None:
    target = ROOT / package
    for path in [target] if target.is_file() else sorted(target.rglob("*.py")):
        assert "from __future__ import annotations" not in path.read_text(), path


def test_imports_form_no_circle() -> None:
    import grimp
    import networkx as nx

    graph = grimp.build_graph(*PACKAGES)
    edges = [
        (importer, imported)
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    ]
    circles = [c for c in nx.strongly_connected_components(nx.DiGraph(edges)) if len(c) > 1]
    assert circles == []


def test_the_bench_of_kazakh_names_shares_nothing_with_the_product() -> None:
    path = ROOT / "tests" / "benchmarks" / "kz_names.py"
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert imported == {"__future__", "collections", "dataclasses", "numpy", "polars"}
