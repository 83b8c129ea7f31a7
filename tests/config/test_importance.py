"""Importance as people write it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from exporter.config.file import load_config_file
from exporter.config.importance import MAX_TEXT_BYTES, MAX_WEIGHTS, read_weights
from exporter.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1, 2]", "has to be a JSON object of columns and their weights"),
        ('"age"', "has to be a JSON object of columns and their weights"),
        ("{}", "gives no column a weight above 0"),
        ('{"age": 0, "country": 0.0}', "gives no column a weight above 0"),
        ('{"age": -0.1}', "the weight of 'age' is -0.1; it has to be from 0 to 1e100"),
        ('{"age": NaN}', "the weight of 'age' is nan; it has to be from 0 to 1e100"),
        ('{"age": Infinity}', "the weight of 'age' is inf; it has to be from 0 to 1e100"),
        ('{"age": 1e400}', "the weight of 'age' is inf; it has to be from 0 to 1e100"),
        ('{"age": "much"}', "the weight of 'age' is not a number"),
        ('{"age": true}', "the weight of 'age' is not a number"),
        ('{"age": null}', "the weight of 'age' is not a number"),
        ('{"age": [1]}', "the weight of 'age' is not a number"),
        ('{"age": {"gain": 1}}', "the weight of 'age' is not a number"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_importance_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        read_weights(text)


def test_a_megabyte_is_not_read() -> None:
    with pytest.raises(ValueError, match=f"has 1,048,582 bytes; at most {MAX_TEXT_BYTES:,} are read"):
        read_weights('{"' + "a" * 2**20 + '":1}')
    with pytest.raises(ValueError, match=f"names 10,001 columns; at most {MAX_WEIGHTS:,} are read"):
        read_weights(json.dumps({f"c{number}": 1 for number in range(MAX_WEIGHTS + 1)}))


def test_messages_show_the_beginning_of_a_long_name() -> None:
    with pytest.raises(ValueError, match=r"^the weight of 'a{60}' is not a number$"):
        read_weights(json.dumps({"a" * 10_000: "x"}))


def load(tmp_path: Path, importance: str) -> str:
    path = tmp_path / "exporter.yml"
    path.write_text(f"models:\n  fraud:\n    importance: {importance}\n")
    return load_config_file(path).models["fraud"].importance


def test_a_mapping_in_the_file_is_kept_as_json(tmp_path: Path) -> None:
    assert json.loads(load(tmp_path, "{amount: 3, no: 0.5}")) == {"amount": 3.0, "no": 0.5}


def test_permutation_is_asked_for_by_its_name(tmp_path: Path) -> None:
    assert load(tmp_path, "permutation") == "permutation"


def test_a_path_is_relative_to_the_file_and_a_uri_is_not(tmp_path: Path) -> None:
    assert load(tmp_path, "weights/importance.json") == str(tmp_path / "weights/importance.json")
    assert load(tmp_path, "runs:/abc/importance.json") == "runs:/abc/importance.json"


def test_a_mistake_in_the_file_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"exporter.yml:3: models.fraud.importance: the weight of 'age' is -1"
    ):
        load(tmp_path, "{age: -1}")
