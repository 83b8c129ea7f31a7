"""Configuration of targets."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.config.targets import Airflow3, GitHub, Target
from tests.support.orchestrators import FAKES, Fake

AIRFLOW: dict[str, Any] = {"kind": "airflow3", "url": "https://airflow.example.org/", "dag": "retrain"}
GITHUB: dict[str, Any] = {"kind": "github", "repository": "acme/fraud", "workflow": "retrain.yml"}
WEBHOOK: dict[str, Any] = {"kind": "webhook", "url": "https://hooks.example.org/x?y=z"}


def read(settings: dict[str, Any]) -> Any:
    return TypeAdapter(Target).validate_python(settings)


@pytest.mark.parametrize("fake", FAKES)
def test_each_kind_is_read_from_texts(fake: type[Fake]) -> None:
    assert read({"kind": fake.kind, **fake().settings("https://host.example.org")}).kind == fake.kind


def test_the_kind_decides_about_the_rest() -> None:
    found = read({**AIRFLOW, "timeout": "6h", "token_file": "/run/secrets/airflow"})
    assert isinstance(found, Airflow3)
    assert (found.url, found.timeout) == ("https://airflow.example.org", 6 * 3600)
    assert found.body["action_id"] == "{action_id}"


def test_a_body_is_a_mapping_or_the_text_of_a_document() -> None:
    assert read({**AIRFLOW, "body": {"id": "{action_id}"}}).body == {"id": "{action_id}"}
    assert read({**AIRFLOW, "body": '{"id": "{action_id}", "n": 3}'}).body == {"id": "{action_id}", "n": 3}


def test_repository_dispatch_takes_nested_payloads() -> None:
    settings = {key: value for key, value in GITHUB.items() if key != "workflow"}
    found = read({**settings, "event_type": "retrain", "body": {"all": {"id": "{action_id}"}}})
    assert isinstance(found, GitHub)


def test_a_command_has_to_be_allowed() -> None:
    settings = {"kind": "command", "command": ["train"], "directory": "/tmp/runs"}
    with pytest.raises(ValidationError, match="they need EXPORTER_ALLOW_COMMANDS=true"):
        read(settings)
    assert TypeAdapter(Target).validate_python(settings, context={"allow_command": True, "directory": "/etc"})


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({**AIRFLOW, "url": "airflow.example.org"}, "has to be a URL such as https://airflow.example.org"),
        ({**AIRFLOW, "url": "file:///etc/passwd"}, "has to be a URL"),
        ({**AIRFLOW, "url": "https://ada:secret@airflow"}, "may not hold a user or password"),
        ({**AIRFLOW, "url": "https://airflow/?x=1"}, "may not have a query"),
        ({**AIRFLOW, "url": "https://airflow/a b"}, "has characters that a URL cannot have"),
        ({**AIRFLOW, "url": "https://airflow:99999"}, "has to be a URL"),
        ({**AIRFLOW, "username": "ada"}, "username and password_file belong together"),
        (
            {**AIRFLOW, "username": "ada", "password_file": "/p", "token_file": "/t"},
            "takes either token_file or username and password_file",
        ),
        ({**AIRFLOW, "token": "secret"}, "Extra inputs are not permitted"),
        ({**AIRFLOW, "body": {"model": "{model}"}}, "has no {action_id}: the job needs it"),
        ({**AIRFLOW, "body": ["{action_id}"]}, "has to be a mapping of keys to values"),
        ({**AIRFLOW, "body": {"id": "{action_id}", "x": "{modle}"}}, "{modle} does not exist"),
        ({**AIRFLOW, "proxy": "proxy:3128"}, "pattern"),
        ({**AIRFLOW, "url": "http://airflow", "proxy": "http://proxy:3128"}, "proxy is for https"),
        ({**AIRFLOW, "timeout": "0"}, "greater than 0"),
        ({**AIRFLOW, "timeout": "52w"}, "less than or equal"),
        (
            {"kind": "databricks", "url": "https://dbc", "job_id": "1", "body": '{"a": ["{action_id}"]}'},
            "to texts",
        ),
        ({**GITHUB, "event_type": "x"}, "takes either workflow or event_type"),
        ({**GITHUB, "repository": "../../admin"}, "pattern"),
        ({**GITHUB, "body": '{"id": "{action_id}", "n": 3}'}, "has to be a mapping of keys to texts"),
        ({**GITHUB, "body": {f"k{n}": "{action_id}" for n in range(26)}}, "body has more than 25 keys"),
        ({**WEBHOOK, "status_url": "https://hooks.example.org/status"}, "status_url has no {action_id}"),
        ({**WEBHOOK, "token_header": "X: y"}, "pattern"),
        ({"kind": "prefect", "url": "https://p", "deployment_id": "../x"}, "pattern"),
        ({"kind": "command", "command": [], "directory": "/tmp"}, "at least 1 item"),
        ({"kind": "cron"}, "does not match any of the expected tags"),
    ],
)
def test_what_cannot_be_used_is_told(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as raised:
        read(settings)
    assert problem in str(raised.value)
