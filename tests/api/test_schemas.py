"""The OpenAPI document agrees with the service."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from exporter.api.schemas import PREDICTION_EXAMPLES, PredictionBatch
from tests.support.api_server import Server, post
from tests.support.fakes import FakeRegistry
from tests.support.rig import make_table

Serve = Callable[..., Server]


@pytest.fixture(scope="module")
def server(serve_module: Serve) -> Server:
    """An exporter that monitors the examples' model: version 3 of `fraud` is the champion."""
    registry = FakeRegistry()
    for _ in range(3):
        version = registry.register("fraud", make_table())
    registry.set_alias("fraud", "champion", version)
    server = serve_module(registry)
    server.await_ready(version="3")
    return server


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    answer = server.client.get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def test_it_describes_every_route(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.")
    assert {(path, method) for path, method, _ in operations(document)} >= {
        ("/v1/predictions", "post"),
        ("/v1/models", "get"),
        ("/v1/models/{model}/versions/{version}", "get"),
        ("/v1/models/{model}/versions/{version}/rebaseline", "post"),
        ("/v1/audit", "get"),
        ("/metrics", "get"),
        ("/-/healthy", "get"),
        ("/-/ready", "get"),
        ("/-/reload", "post"),
    }


def test_operations_have_a_name_of_their_own_a_summary_and_a_description(document: dict[str, Any]) -> None:
    described = [operation for _, _, operation in operations(document)]
    names = [operation["operationId"] for operation in described]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] and operation["description"] for operation in described)
    assert all(operation["responses"] for operation in described)


def test_everything_that_is_referred_to_is_there(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert "#/components/schemas/PredictionBatch" in found
    for reference in found:
        part: Any = document
        assert reference.startswith("#/")
        for name in reference[2:].split("/"):
            assert name in part, reference
            part = part[name]


def test_parameters_of_a_path_are_declared(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert declared == {part[1:-1] for part in path.split("/") if part.startswith("{")}
        assert all(p["required"] for p in operation.get("parameters", []) if p["in"] == "path")


def documented_examples(document: dict[str, Any]) -> dict[str, Any]:
    body = document["paths"]["/v1/predictions"]["post"]["requestBody"]
    return {
        name: example["value"] for name, example in body["content"]["application/json"]["examples"].items()
    }


def at_our_time(example: dict[str, Any]) -> dict[str, Any]:
    """Return the example with current times: its own will be too old one day."""
    example = copy.deepcopy(example)
    for row in example.get("predictions", []):
        if isinstance(row, dict) and "timestamp" in row:
            row["timestamp"] = time.time()
    return example


def test_every_example_is_taken(server: Server, document: dict[str, Any]) -> None:
    examples = documented_examples(document)
    assert examples.keys() == PREDICTION_EXAMPLES.keys()
    for name, example in examples.items():
        answer = post(server, at_our_time(example))
        assert answer.status_code == 202, f"{name}: {answer.text}"
        taken = answer.json()
        assert taken["accepted"] + taken["duplicates"] + taken["conflicts"] >= 1, name
        assert taken.keys() <= document["components"]["schemas"]["Accepted"]["properties"].keys()


def test_every_example_is_as_the_schema_says(document: dict[str, Any]) -> None:
    for example in documented_examples(document).values():
        PredictionBatch.model_validate(example)


def test_every_refusal_is_a_problem(document: dict[str, Any]) -> None:
    for _, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert answer["content"] == {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                }


def test_a_problem_is_as_its_schema_says(server: Server, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    problem = post(server, b"{")
    declared = document["paths"]["/v1/predictions"]["post"]["responses"]
    assert str(problem.status_code) in declared
    assert problem.json().keys() <= schemas["Problem"]["properties"].keys()
    assert set(schemas["Problem"]["required"]) <= problem.json().keys()


def test_it_can_be_read_in_a_browser(server: Server) -> None:
    assert "swagger-ui" in server.client.get("/docs").text


def test_a_browser_needs_nothing_but_the_exporter_for_it(server: Server) -> None:
    page = server.client.get("/docs").text
    assert "://" not in page
    loaded = re.findall(r'(?:src|href)="(.+?)"', page)
    assert {path.rpartition(".")[2] for path in loaded} == {"js", "css", "png"}
    assert all(server.client.get(path).status_code == 200 for path in loaded)
    assert re.search(r'"validatorUrl": null', page)
