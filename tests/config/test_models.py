"""Configuration of models, by file and by tags."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.config.file import load_config_file
from exporter.config.models import (
    Columns,
    Minimums,
    ModelConfig,
    ModelsConfig,
)
from exporter.config.sampling import SampleConfig
from exporter.errors import ConfigError
from exporter.formats.categories import match_class

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
    sample: {rows: 20, retention: 7d, leave_out: [iban], hash: [customer]}
"""


def load(directory: Path, text: str) -> ModelsConfig:
    path = directory / "exporter.yml"
    path.write_text(text)
    return load_config_file(path)


def entry(directory: Path, text: str) -> ModelConfig:
    """Load a file with this entry of the model `m`, and return its configuration."""
    return load(directory, f"models: {{m: {{{text}}}}}").models["m"]


# -- the file -----------------------------------------------------------------------------------------------


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
        sample=SampleConfig(rows=20, retention=7 * 86400, leave_out=("iban",), hash=("customer",)),
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


# -- tags ---------------------------------------------------------------------------------------------------


def resolve(
    tags: dict[str, str], text: str = "", directory: Path | None = None
) -> tuple[ModelConfig, tuple[str, ...]]:
    config = load(directory, text) if directory is not None else ModelsConfig()
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
    config, problems = ModelsConfig().resolve(
        "fraud",
        {"owner": "me", "monitoring.team": "risk", "monitoring.enabled": "true", "monitoring.target": " "},
    )
    assert (config, problems) == (ModelConfig(), ())


def test_no_tag_can_have_more_sampled_than_the_file_allows(tmp_path: Path) -> None:
    config = load(tmp_path, "defaults: {sample: {leave_out: [iban]}}\nmodels: {m: {sample: {rows: 0}}}")
    tags = {"monitoring.sample.rows": "9", "monitoring.sample.leave_out": "x", "monitoring.sample": "{}"}
    found, problems = config.resolve("m", tags)
    assert found.sample == SampleConfig(rows=0, leave_out=("iban",))
    assert len(problems) == 3
    assert "tag monitoring.sample.rows: the sample is set in the configuration file only" in problems


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows: 1001", "less than or equal to 1000"),
        ("rows: -1", "greater than or equal to 0"),
        ("retention: soon", "soon"),
        ("leave_out: [a, a]", "a column is named twice"),
        ("leaveout: [a]", "did you mean leave_out?"),
    ],
)
def test_mistakes_in_a_sample_are_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        entry(tmp_path, f"sample: {{{text}}}")


@pytest.mark.parametrize("tag", ["reference_uri", "reference_uri.", "reference_uri.x"])
def test_no_tag_can_name_a_path_of_this_machine(tmp_path: Path, tag: str) -> None:
    config, _ = resolve({tag: "/etc/passwd.csv"}, EVERYTHING, tmp_path)
    assert config.reference_uri == "s3://references/fraud.parquet"
