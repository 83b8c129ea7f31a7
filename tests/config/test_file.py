"""Mistakes in the configuration file, each with its line."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from exporter.config.file import MAX_FILE_BYTES, ConfigFile, load_config_file
from exporter.config.models import QualityMetric
from exporter.errors import ConfigError
from exporter.settings import Settings, Window

METRICS = ", ".join(map(repr, get_args(QualityMetric)[:-1])) + f" or {get_args(QualityMetric)[-1]!r}"
MISTAKES = {
    "an unknown key": (
        "models:\n  fraud:\n    task: binary\n    drift_treshold: 0.2\n",
        "4: models.fraud.drift_treshold: unknown key; did you mean drift_threshold?",
    ),
    "a key that is like no other": ("colour: red\n", "1: colour: unknown key"),
    "an unknown key in a section": (
        "defaults:\n  minimums:\n    labels: 5\n    rows: 5\n",
        "4: defaults.minimums.rows: unknown key",
    ),
    "an unknown task": (
        "models: {m: {\n task: ranking}}",
        "2: models.m.task: has to be 'binary', 'multiclass' or 'regression'",
    ),
    "an unknown metric": (
        "models:\n  m:\n    tolerances:\n      recal: 0.1\n",
        f"4: models.m.tolerances.recal: has to be {METRICS}; did you mean recall?",
    ),
    "a threshold that is no number": (
        "models:\n  m:\n    drift_thresholds:\n      age: high\n",
        "4: models.m.drift_thresholds.age: has to be a number",
    ),
    "a threshold of zero": (
        "defaults:\n  drift_threshold: 0\n",
        "2: defaults.drift_threshold: has to be greater than 0",
    ),
    "a tolerance that is infinite": (
        "defaults:\n  tolerances: {mae: .inf}\n",
        "2: defaults.tolerances.mae: has to be a number",
    ),
    "a baseline that is infinite": (
        "defaults:\n  baselines: {mae: inf}\n",
        "2: defaults.baselines.mae: has to be a finite number",
    ),
    "a share above one": (
        "defaults:\n  minimums: {coverage: 80}\n",
        "2: defaults.minimums.coverage: has to be less than or equal to 1",
    ),
    "a prevalence of one": (
        "models:\n  m:\n    prevalence: 1\n",
        "3: models.m.prevalence: has to be less than 1",
    ),
    "a minimum of half a label": (
        "defaults:\n  minimums:\n    labels: 0.5\n",
        "3: defaults.minimums.labels: has to be a whole number",
    ),
    "a duration without a unit": (
        "models:\n  m:\n    maturation: 30\n",
        "3: models.m.maturation: '30' is not a duration such as 30m, 24h or 7d",
    ),
    "a maturation beyond what is kept": (
        "models:\n  m:\n    maturation: 61d\n",
        "3: models.m.maturation: 61 days are more than 60, the most there are",
    ),
    "a maturation of a year": (
        "models:\n  m:\n    maturation: 400d\n",
        "3: models.m.maturation: 400 days are more than 60, the most there are",
    ),
    "a name that is too long": (
        f"models:\n  m:\n    target: {'x' * 257}\n",
        "3: models.m.target: is longer than 256 characters",
    ),
    "a reference nowhere": (
        "models:\n  m:\n    reference_uri: ''\n",
        "3: models.m.reference_uri: has no value",
    ),
    "a key of another section": (
        "models:\n  m:\n    minimums: {include: a}\n",
        "3: models.m.minimums.include: unknown key",
    ),
    "a key of a section that is misspelt": (
        "models:\n  m:\n    columns: {exclud: [a]}\n",
        "3: models.m.columns.exclud: unknown key; did you mean exclude?",
    ),
    "too many segments": (
        "models:\n  m:\n    segments: [a, b, c, d, e, f]\n",
        "3: models.m.segments: 6 columns, at most 5 are taken",
    ),
    "a segment twice": (
        "models:\n  m:\n    segments: [a, b, a]\n",
        "3: models.m.segments: a column is named twice",
    ),
    "a text for a list": ("models:\n  m:\n    segments: country\n", "3: models.m.segments: has to be a list"),
    "a list for a text": ("models:\n  m:\n    target: [a]\n", "3: models.m.target: has to be a single value"),
    "a list item that is none": (
        "models:\n  m:\n    segments:\n      - a\n      - {b: c}\n",
        "5: models.m.segments.1: has to be a single value",
    ),
    "a setting without a value": (
        "models:\n  m:\n    target:\n",
        "3: models.m.target: has no value",
    ),
    "a URL that is none": (
        "models:\n  m:\n    reference_uri: http://[::1/x\n",
        "3: models.m.reference_uri: is neither a path nor a URL",
    ),
    "a path with a NUL": (
        'models:\n  m:\n    reference_uri: "a\\0b"\n',
        "3: models.m.reference_uri: is neither a path nor a URL",
    ),
    "a text for a section": (
        "models:\n  m:\n    minimums: 200\n",
        "3: models.m.minimums: has to be a mapping of keys to values",
    ),
    "a text for the file": ("fraud\n", "1: has to be a mapping of keys to values"),
    "a list for the models": ("models:\n- fraud\n", "1: models: has to be a mapping of keys to values"),
    "a key twice": (
        "models:\n  m:\n    target: a\n    task: binary\n    target: b\n",
        "5: target is there twice",
    ),
    "a model twice": ("models:\n  m: {task: binary}\n  m: {target: b}\n", "3: m is there twice"),
    "a tab": ("models:\n\tm: {}\n", "2: a tab; indent with spaces"),
    "a bracket that is not closed": (
        "models: {m: {segments: [a}\n",
        "1: a bracket is not closed, or a comma is missing",
    ),
    "a bracket at the end": ("models: {m: [", "1: a value is missing, or a bracket is not closed"),
    "a quote that is not closed": ("models: 'm", "1: a quote is not closed"),
    "a colon too many": (
        "models:\n  m:\n    target: a: b\n",
        "3: a second colon; put the value in quotes, or mend the indentation",
    ),
    "an indentation that fits nowhere": (
        "models:\n  m: {}\n n: {}\n",
        "3: this line is indented otherwise than those that it belongs to",
    ),
    "a value that needs quotes": (
        "models:\n  m:\n    target: @label\n",
        "3: a value that begins with @ has to be in quotes",
    ),
    "a backslash": (
        'models:\n  m:\n    target: "C:\\q"\n',
        "3: \\q means nothing in double quotes; use single ones, or \\\\",
    ),
    "a key without a colon": (
        "models:\n  m:\n    target: a\n    task\n    segments: [b]\n",
        "5: a key without a colon",
    ),
    "an asterisk": (
        "models:\n  m:\n    target: *\n",
        "3: a value that begins with * or & has to be in quotes",
    ),
    "two documents": ("models: {}\n---\nmodels: {}\n", "2: a second document; only one is taken"),
    "an alias of nothing": (
        "models: *nothing\n",
        "1: *nothing stands for nothing: no value above is marked with &nothing",
    ),
    "an alias of itself": ("models: &a\n  b: *a\n", "1: a value contains itself"),
    "another YAML": (
        "%YAML 3.0\n---\nmodels: {}\n",
        "1: this is no YAML: found incompatible YAML document (version 1.* is required)",
    ),
    "a tag": (
        "models: !!python/object/apply:os.system [ls]\n",
        "1: models: has to be a mapping of keys to values",
    ),
    "a key that is no text": ("? [a]\n: b\n", "1: a key has to be a single value"),
}


def load(directory: Path, text: str | bytes) -> ConfigFile:
    path = directory / "exporter.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config_file(path)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_with_its_line(tmp_path: Path, mistake: str) -> None:
    text, expected = MISTAKES[mistake]
    with pytest.raises(ConfigError) as found:
        load(tmp_path, text)
    message = str(found.value)
    path = tmp_path / "exporter.yml"
    assert message == f"{path}:{expected}"


def test_all_mistakes_are_told_in_the_order_of_their_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as found:
        load(tmp_path, "models:\n  m:\n    tsk: binary\n    prevalence: 2\n    prevalence: 3\ndefault: {}\n")
    told = [line.removeprefix(f"{tmp_path}/exporter.yml:") for line in str(found.value).splitlines()]
    assert [line.partition(":")[0] for line in told] == ["3", "4", "5", "6"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"models: {\xff}", "it is no text in UTF-8, or has characters that are none"),
        (b"models: {a\x00}", "it is no text in UTF-8, or has characters that are none"),
        (b"#" * (MAX_FILE_BYTES + 1), "larger than"),
        (b"[" * 100_000, "it is nested too deeply"),
    ],
    ids=["no UTF-8", "a zero byte", "too large", "too deep"],
)
def test_a_file_that_is_none_names_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=f"exporter.yml: .*({message})"):
        load(tmp_path, content)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yml: No such file or directory"):
        load_config_file(tmp_path / "nowhere.yml")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (Settings(), "3: models.fraud.maturation: 40 days are more than the 30 for which ids are kept"),
        (Settings(prediction_retention_days=40), ""),
        (
            Settings(prediction_retention_days=60, windows=(Window(26 * 86400, "26d"),)),
            "3: models.fraud.maturation: 40 days are too long: two windows of 26d before them",
        ),
    ],
)
def test_a_maturation_is_within_what_is_kept(tmp_path: Path, settings: Settings, problem: str) -> None:
    path = tmp_path / "exporter.yml"
    path.write_text("models:\n  fraud:\n    maturation: 40d\n")
    if not problem:
        load_config_file(path, settings)
        return
    with pytest.raises(ConfigError, match=problem):
        load_config_file(path, settings)


def test_that_of_the_defaults_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"2: defaults\.maturation: 40 days are more"):
        load(tmp_path, "defaults:\n  maturation: 40d\n")
