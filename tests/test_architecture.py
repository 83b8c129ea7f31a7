"""Imports between packages go one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "exporter"

# Each package, or module at the top, may import from those above it in this list and from itself.
ORDER = [
    "__init__",
    "errors",
    "typing",
    "shard",
    "drivers",
    "tokens",
    "settings",
    "payloads",
    "config",
    "measures",
    "formats",
    "client",
    "logs",
    "isolation",
    "reference",
    "aggregates",
    "folding",
    "storage",
    "audit",
    "sampling",
    "evaluation",
    "profiling",
    "importance",
    "registry",
    "training",
    "fleet",
    "serving_processes",
    "exposition",
    "config_files",
    "ingest",
    "partitions",
    "kafka",
    "capture",
    "worker",
    "monitoring",
    "remediation",
    "reports",
    "service",
    "views",
    "web",
    "api",
    "push",
    "scoring",
    "demo",
    "cli",
    "__main__",
]
# Imported by `exporter.__getattr__` when it is asked for.
LAZY = {"__init__": {"training"}}
# Where MLflow's client may be named at all.
MLFLOW_USERS = {"registry", "importance", "scoring", "demo"}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if PACKAGE / "chart" not in path.parents)


def unit(path: Path) -> str:
    """`exporter/api/app.py` -> `api`, `exporter/errors.py` -> `errors`."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


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


def imported_units(path: Path) -> set[str]:
    parts = [module.split(".") for module in imported_modules(path)]
    return {names[1] for names in parts if names[0] == "exporter" and len(names) > 1 and names[1] in ORDER}


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_a_package_imports_only_from_those_above_it(path: Path) -> None:
    later = {name for name in imported_units(path) if ORDER.index(name) > ORDER.index(unit(path))}
    assert not later - LAZY.get(unit(path), set())


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_only_packages_that_need_mlflow_name_it(path: Path) -> None:
    uses = any(module.split(".")[0] == "mlflow" for module in imported_modules(path))
    assert not uses or unit(path) in MLFLOW_USERS


def test_every_package_has_its_place() -> None:
    assert {unit(path) for path in FILES} <= set(ORDER)


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
