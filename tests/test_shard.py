"""Shards: which of several exporters has a model, and the text of the setting."""

from __future__ import annotations

import subprocess
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import ConfigError, MisdirectedError
from exporter.settings import load_settings
from exporter.shard import MAX_SHARDS, WHOLE, Shard, shard_of
from tests.test_docs import EXPORTER

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(NAMES, st.integers(1, 20))
def test_a_model_has_one_shard_and_moves_to_an_added_one_or_not_at_all(name: str, shards: int) -> None:
    owners = [number for number in range(1, shards + 1) if Shard(number, shards).has(name)]
    assert owners == [shard_of(name, shards)]
    assert shard_of(name, shards + 1) in (*owners, shards + 1)


def test_shards_have_equal_shares() -> None:
    shares = Counter(shard_of(f"model {number}", 8) for number in range(4000))
    assert shares.keys() == set(range(1, 9))
    assert all(abs(share - 500) < 100 for share in shares.values())


@pytest.mark.parametrize("name", ["fraud", "flight-delays", "Bücher", "a b"])
def test_the_documented_line_of_shell_finds_the_shard(name: str) -> None:
    line = next(line for line in EXPORTER.splitlines() if "sha256sum" in line).split("`")[1]
    found = subprocess.run(["sh", "-c", line.replace("fraud", name)], capture_output=True, check=True)
    assert int(found.stdout) == shard_of(name, 8)


def test_without_shards_all_models_are_this_exporters() -> None:
    assert WHOLE.is_whole
    WHOLE.require("fraud")


def test_the_error_names_the_shard_that_has_the_model() -> None:
    assert shard_of("fraud", 8) == 6
    Shard(6, 8).require("fraud")
    with pytest.raises(
        MisdirectedError, match="'fraud' is monitored by shard 6/8, this is shard 2/8"
    ) as found:
        Shard(2, 8).require("fraud")
    assert (found.value.status, found.value.members) == (421, {"shard": 6, "shards": 8})


def test_the_setting_is_a_number_and_the_number_of_all() -> None:
    assert load_settings({"EXPORTER_SHARD": " 2/8 "}).shard == Shard(2, 8)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2", "it has to be as 2/8, the second of eight shards"),
        ("two/8", "it has to be as 2/8"),
        ("2/8/9", "it has to be as 2/8"),
        ("-1/8", "it has to be as 2/8"),
        ("٢/٨", "it has to be as 2/8"),
        ("0/8", "shards are numbered from 1 to 8"),
        ("9/8", "shards are numbered from 1 to 8"),
        ("1/0", f"there may be 1 to {MAX_SHARDS} shards"),
        ("1/257", f"there may be 1 to {MAX_SHARDS} shards"),
    ],
)
def test_a_malformed_shard_is_a_mistake_that_is_told(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^EXPORTER_SHARD='{text}': {reason}"):
        load_settings({"EXPORTER_SHARD": text})


def test_a_kafka_group_has_no_shards() -> None:
    with pytest.raises(ConfigError, match=r"EXPORTER_SHARD is 2/8, which is not for EXPORTER_ROLE=worker"):
        load_settings({"EXPORTER_SHARD": "2/8", "EXPORTER_ROLE": "worker"})
