"""Configuration of models by file and tags, and the messages for mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from exporter.errors import ConfigError
from exporter.formats.categories import match_class
from exporter.model_config import (
    MAX_FILE_BYTES,
    Columns,
    ConfigFile,
    Minimums,
    ModelConfig,
    QualityMetric,
    load_config_file,
)
from exporter.settings import Settings, Window

EVERYTHING = """\
defaults:
  minimums: {labels: 500}
models:
  fraud:
    task: binary
    target: is_fraud
    positive_class: 1
    reference_uri: s3://references/fraud.parquet
    reference_split: test
    prevalence: 0.01
    columns:
      include: [age, country, amount]
      exclude: [amount]
    drift_threshold: 0.2
    drift_thresholds: {age: 0.3}
    maturation: 30d
    minimums: {positives: 50, coverage: 0.5}
    baselines: {recall: 0.8}
    tolerances: {recall: 0.05}
    segments: [country]
"""


def load(directory: Path, text: str | bytes) -> ConfigFile:
    path = directory / "exporter.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config_file(path)


def entry(directory: Path, text: str) -> ModelConfig:
    """Load a file with this entry of the model `m`, and return its configuration."""
    return load(directory, f"models: {{m: {{{text}}}}}").models["m"]


# What can be said


def test_everything_at_once(tmp_path: Path) -> None:
    config, problems = load(tmp_path, EVERYTHING).resolve("fraud", {})
    assert problems == ()
    assert config == ModelConfig(
        task="binary",
        target="is_fraud",
        positive_class="1",
        reference_uri="s3://references/fraud.parquet",
        reference_split="test",
        prevalence=0.01,
        columns=Columns(include=("age", "country", "amount"), exclude=("amount",)),
        drift_threshold=0.2,
        drift_thresholds={"age": 0.3},
        maturation=30 * 86400,
        minimums=Minimums(labels=500, positives=50, coverage=0.5),
        baselines={"recall": 0.8},
        tolerances={"recall": 0.05},
        segments=("country",),
    )


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "models:\n", "models:\n  fraud:\n", "defaults: {}\n"]
)
def test_what_is_empty_or_commented_out_says_nothing(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text).resolve("fraud", {}) == (ModelConfig(), ())


def test_a_model_overrides_the_defaults_setting_by_setting(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "defaults: {drift_threshold: 0.2, minimums: {labels: 500, positives: 40}, segments: [country]}\n"
        "models: {fraud: {minimums: {labels: 100}, segments: [region]}}\n",
    )
    fraud, _ = config.resolve("fraud", {})
    assert fraud.drift_threshold == 0.2
    assert fraud.minimums == Minimums(labels=100, positives=40)
    assert fraud.segments == ("region",)
    assert config.resolve("other", {})[0].minimums == Minimums(labels=500, positives=40)


@pytest.mark.parametrize("name", ["no", "007", "1.0", "null", "2026-01-01", "0x1F", "~", "ja"])
def test_a_name_is_what_was_written(tmp_path: Path, name: str) -> None:
    config = load(tmp_path, f"models: {{{name}: {{segments: [{name}], drift_thresholds: {{{name}: 1}}}}}}")
    assert config.models[name] == ModelConfig(segments=(name,), drift_thresholds={name: 1.0})


@pytest.mark.parametrize(("text", "seconds"), [("30d", 30 * 86400), ("90m", 5400), ("0", 0)])
def test_a_maturation_is_a_duration(tmp_path: Path, text: str, seconds: float) -> None:
    assert entry(tmp_path, f"maturation: {text}").maturation == seconds


@pytest.mark.parametrize(
    "uri", ["s3://b/r.parquet", "models:/m/1/r.csv", "runs:/1/r.json", "https://h/r.csv", "file:///r.csv"]
)
def test_a_uri_of_a_reference_stays_as_it_is(tmp_path: Path, uri: str) -> None:
    assert entry(tmp_path, f'reference_uri: "{uri}"').reference_uri == uri


def test_a_path_of_a_reference_is_relative_to_the_file(tmp_path: Path) -> None:
    assert entry(tmp_path, "reference_uri: data/r.csv").reference_uri == str(tmp_path / "data" / "r.csv")
    assert entry(tmp_path, "reference_uri: /data/r.csv").reference_uri == "/data/r.csv"


def test_the_same_lines_can_be_used_twice(tmp_path: Path) -> None:
    config = load(tmp_path, "models: {a: &entry {segments: [country]}, b: *entry}")
    assert config.models["a"] == config.models["b"] == ModelConfig(segments=("country",))


@pytest.mark.parametrize(
    ("include", "exclude", "selected"),
    [((), (), "abc"), (("a", "b"), (), "ab"), ((), ("a",), "bc"), (("a", "b"), ("b",), "a")],
)
def test_columns_are_those_included_without_those_excluded(
    include: tuple[str, ...], exclude: tuple[str, ...], selected: str
) -> None:
    columns = Columns(include=include, exclude=exclude)
    assert "".join(filter(columns.select, "abc")) == selected


@pytest.mark.parametrize(
    ("text", "classes", "found"),
    [
        ("1", ["0", "1"], "1"),
        ("1.0", ["0", "1"], "1"),
        ("True", ["0", "1"], "1"),
        ("false", ["0", "1"], "0"),
        ("True", ["False", "True", "1"], "True"),
        ("1.0", ["1.0", "1"], "1.0"),
        ("01", ["01", "1"], "01"),
        ("01", ["0", "1"], None),
        ("1e1", ["1", "10"], "10"),
        ("0.50", ["0.5"], "0.5"),
        ("-0", ["0", "1"], "0"),
        ("", ["0", "1"], None),
        ("late", ["late", "on time"], "late"),
        ("early", ["late", "on time"], None),
        ("nan", ["0", "1"], None),
    ],
)
def test_a_class_is_found_however_it_is_spelt(text: str, classes: list[str], found: str | None) -> None:
    assert match_class(text, classes) == found


# What a mistake is answered with

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
        f"4: models.m.tolerances.recal: has to be {METRICS}",
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


# Tags


def resolve(
    tags: dict[str, str], text: str = "", directory: Path | None = None
) -> tuple[ModelConfig, tuple[str, ...]]:
    config = load(directory, text) if directory is not None else ConfigFile()
    return config.resolve("fraud", {f"monitoring.{name}": value for name, value in tags.items()})


def test_tags_say_the_same_as_the_file() -> None:
    config, problems = resolve(
        {
            "task": "binary",
            "target": "is_fraud",
            "positive_class": "1",
            "reference_split": "test",
            "prevalence": "0.01",
            "columns.exclude": "amount, request_id",
            "drift_threshold": "0.2",
            "drift_threshold.age": "0.3",
            "drift_threshold.a.b": "0.4",
            "maturation": " 30d ",
            "minimums.labels": "500",
            "baseline.recall": "0.8",
            "tolerance.recall": "0.05",
            "segments": "country, region",
        }
    )
    assert problems == ()
    assert config == ModelConfig(
        task="binary",
        target="is_fraud",
        positive_class="1",
        reference_split="test",
        prevalence=0.01,
        columns=Columns(exclude=("amount", "request_id")),
        drift_threshold=0.2,
        drift_thresholds={"age": 0.3, "a.b": 0.4},
        maturation=30 * 86400,
        minimums=Minimums(labels=500),
        baselines={"recall": 0.8},
        tolerances={"recall": 0.05},
        segments=("country", "region"),
    )


def test_tags_override_the_file_setting_by_setting(tmp_path: Path) -> None:
    config, _ = resolve({"drift_threshold.age": "0.9", "minimums.labels": "7"}, EVERYTHING, tmp_path)
    assert config.drift_thresholds == {"age": 0.9}
    assert config.minimums == Minimums(labels=7, positives=50, coverage=0.5)
    assert config.segments == ("country",)


def test_a_tag_that_is_wrong_counts_as_absent_and_is_told() -> None:
    config, problems = resolve({"drift_threshold": "high", "drift_threshold.age": "0.3", "treshold": "1"})
    assert config == ModelConfig(drift_thresholds={"age": 0.3})
    assert problems == (
        "tag monitoring.drift_threshold is 'high': has to be a number",
        "tag monitoring.treshold is '1': unknown key",
    )


@pytest.mark.parametrize(
    "tag", ["nonsense", "drift_threshold.", "minimums.rows", "task.x", "tolerance.recal", "columns", ".", ""]
)
def test_a_tag_that_nobody_knows_is_told(tag: str) -> None:
    config, problems = resolve({tag: "1"})
    assert config == ModelConfig()
    assert len(problems) == 1


def test_tags_of_others_and_empty_ones_are_passed_over() -> None:
    config, problems = ConfigFile().resolve(
        "fraud",
        {"owner": "me", "monitoring.team": "risk", "monitoring.enabled": "true", "monitoring.target": " "},
    )
    assert (config, problems) == (ModelConfig(), ())


@pytest.mark.parametrize("tag", ["reference_uri", "reference_uri.", "reference_uri.x"])
def test_no_tag_can_name_a_path_of_this_machine(tmp_path: Path, tag: str) -> None:
    config, _ = resolve({tag: "/etc/passwd.csv"}, EVERYTHING, tmp_path)
    assert config.reference_uri == "s3://references/fraud.parquet"


# Settings


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
