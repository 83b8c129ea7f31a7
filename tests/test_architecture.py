"""Imports go one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "exporter"

# Each layer may import from those above it and from itself.
LAYERS = [
    {"__init__", "errors", "arrays", "canonical", "memory", "texts"},
    {"chunks"},
    {"config", "decoding", "logs", "mlflow_uri", "yaml_problems"},
    {"arrow_texts", "columns", "limits", "scores", "parquet_pages"},
    {"arrow_stream", "json_samples", "parquet"},
    {"samples", "measures"},
    {"reference", "versions"},
    {"batches", "binning", "sparse"},
    {"label_samples", "records"},
    {"id_filters", "id_heap", "page_reader"},
    {"id_pages"},
    {
        "aggregate",
        "identity",
        "model_config",
        "outcome_layout",
        "labelled_rows",
        "outcomes",
        "column_profile",
    },
    {"comparison", "column_roles"},
    {"change", "data_quality"},
    {"live_variation", "recent_reference", "segments"},
    {"evaluation"},
    {"figures"},
    {"baselines", "coverage"},
    {"estimation", "quality_variation"},
    {"profile"},
    {"quality_reference"},
    {"verdicts"},
    {"quality"},
    {"quality_series", "segment_evaluation"},
    {"segment_series"},
    {"catalog", "exposition"},
    {"telemetry", "series", "experiments"},
    {"schema"},
    {"pairs", "id_tables"},
    {"migrations", "store_files"},
    {"database"},
    {"csv_types", "json_columns"},
    {"transaction", "label_tables", "store", "tables", "connection", "download", "sources", "registry"},
    {"fleet", "live_reference"},
    {"counting", "ageing"},
    {"ingest", "labelling", "quality_references"},
    {"commit", "deduplication", "label_counting"},
    {"committer"},
    {"writer", "upkeep", "retention"},
    {"loader", "runs", "rebaselining"},
    {"follower"},
    {"monitor"},
    {"service"},
    {"api"},
    {"demo", "rebaseline_client"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
# Where MLflow's client may be named at all.
MLFLOW_USERS = {"connection", "registry", "sources", "demo"}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__pycache__")


def unit(path: Path) -> str:
    """`exporter/api/app.py` -> `api`, `exporter/store.py` -> `store`."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add(str(node.module))
            found |= {f"{node.module}.{name.name}" for name in node.names if node.module == "exporter"}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_from_its_own_layer_and_above(path: Path) -> None:
    for module in imported_modules(path):
        parts = module.split(".")
        if parts[0] == "exporter" and len(parts) > 1 and parts[1] in RANK:
            assert RANK[parts[1]] <= RANK[unit(path)], f"{unit(path)} must not import {parts[1]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_registry_and_the_demo_name_mlflow(path: Path) -> None:
    uses = any(module.split(".")[0] == "mlflow" for module in imported_modules(path))
    assert not uses or unit(path) in MLFLOW_USERS


def test_every_module_has_its_place() -> None:
    assert {unit(path) for path in FILES} == set(RANK)


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not {path.stem for path in FILES} & {
        "utils",
        "util",
        "helpers",
        "common",
        "manager",
        "misc",
        "base",
    }
