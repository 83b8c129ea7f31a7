"""Settings from the environment and from flags, and the messages for mistakes in them."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.settings import Settings, Window, load_settings, parse_window


def test_nothing_set_gives_the_defaults() -> None:
    assert load_settings({}) == Settings()


def test_a_variable_sets_the_setting_of_its_name() -> None:
    settings = load_settings(
        {
            "EXPORTER_PORT": "9000",
            "EXPORTER_DRIFT_THRESHOLD": "0.25",
            "EXPORTER_STORE": "sqlite:////data/exporter.db",
            "EXPORTER_BIN_NAMES": "no",
            "EXPORTER_DRIFT_DISTANCES": "ks, jensen_shannon",
            "EXPORTER_WINDOWS": "24h,30m",
        }
    )

    assert settings.port == 9000
    assert settings.drift_threshold == 0.25
    assert settings.store == "sqlite:////data/exporter.db"
    assert settings.bin_names is False
    assert settings.drift_distances == ("ks", "jensen_shannon")
    assert settings.windows == (Window(1800, "30m"), Window(86400, "24h"))


@pytest.mark.parametrize("empty", ["", " ", "\n"])
@pytest.mark.parametrize("name", [item.name for item in fields(Settings)])
def test_an_empty_variable_is_as_good_as_none(name: str, empty: str) -> None:
    assert load_settings({f"EXPORTER_{name.upper()}": empty}) == Settings()


@pytest.mark.parametrize("name", [item.name for item in fields(Settings)])
def test_every_setting_has_a_variable_that_is_read_by_its_type(name: str) -> None:
    default = getattr(Settings(), name)
    text = ",".join(each.name for each in default) if name == "windows" else str(default or "")
    assert load_settings({f"EXPORTER_{name.upper()}": text}) == Settings()


def test_space_around_a_value_is_not_part_of_it() -> None:
    assert load_settings({"EXPORTER_BIN_NAMES": " false\n", "EXPORTER_PORT": " 80 "}).port == 80


def test_variables_of_others_are_left_alone() -> None:
    assert load_settings({"MLFLOW_TRACKING_URI": "http://mlflow", "EXPORT": "1"}) == Settings()


def test_a_flag_wins_over_a_variable_and_counts_only_where_it_is_given() -> None:
    settings = load_settings({"EXPORTER_PORT": "9000", "EXPORTER_HOST": "::"}, {"port": 9001, "host": None})

    assert (settings.port, settings.host) == (9001, "::")


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "ON"])
def test_a_switch_is_on(text: str) -> None:
    assert load_settings({"EXPORTER_BIN_NAMES": text}).bin_names is True


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        ("EXPORTER_PORT", "abc", "^EXPORTER_PORT='abc': it has to be a whole number$"),
        ("EXPORTER_PORT", "19464.0", "^EXPORTER_PORT='19464.0': it has to be a whole number$"),
        ("EXPORTER_PORT", "9" * 5000, ": it has to be a whole number$"),
        ("EXPORTER_PORT", "65536", "the highest is 65535"),
        ("EXPORTER_PORT", "-1", "0 or more"),
        ("EXPORTER_MAX_COLUMNS", "0", "above 0"),
        ("EXPORTER_BLOCK_SECONDS", "0", "above 0"),
        ("EXPORTER_DRIFT_THRESHOLD", "nan", "above 0"),
        (
            "EXPORTER_DRIFT_THRESHOLD",
            "a tenth",
            "DRIFT_THRESHOLD='a tenth': it has to be a number$",
        ),
        ("EXPORTER_EVALUATION_INTERVAL_SECONDS", "inf", "above 0"),
        ("EXPORTER_MAX_FUTURE_SECONDS", "-0.5", "0 or more"),
        ("EXPORTER_BIN_NAMES", "maybe", "^EXPORTER_BIN_NAMES='maybe': it has to be true or false$"),
        ("EXPORTER_GRAFANA_URL", "javascript:alert(1)", "it must begin with http:// or https://"),
        ("EXPORTER_MLFLOW_URL", "data:text/html,x", "it must begin with http:// or https://"),
        ("EXPORTER_LOG_LEVEL", "loud", "debug, info, warning or error"),
        ("EXPORTER_DRIFT_DISTANCES", "ks,wasserstein", "unknown distance 'wasserstein'"),
        ("EXPORTER_WINDOWS", "1h,tomorrow", "'tomorrow' is not a duration"),
        ("EXPORTER_WINDOWS", "1h,", "'' is not a duration"),
        ("EXPORTER_WINDOWS", "1h30m", "is not a duration"),
        ("EXPORTER_WINDOWS", "0h", "is not a duration"),
        ("EXPORTER_WINDOWS", "60m,1h", "the same length"),
        ("EXPORTER_WINDOWS", "1h,2h,3h,4h,5h,6h", "1 to 5"),
        ("EXPORTER_WINDOWS", "299s", "less than EXPORTER_BLOCK_SECONDS, 300 s"),
        ("EXPORTER_WINDOWS", "23d", "more than half of the 45 days"),
        (
            "EXPORTER_API_TOKEN_FILE",
            "/no/such/file",
            "/file cannot be read: No such file or directory$",
        ),
        ("EXPORTER_API_TOKEN_FILE", "/", "/ cannot be read: Is a directory$"),
        ("EXPORTER_API_TOKEN_FILE", sys.executable, f"^EXPORTER_API_TOKEN_FILE {sys.executable} is no text$"),
        ("EXPORTER_ALLOWED_HOSTS", "exporter,http://ml01", "'http://ml01' is not a host name"),
        ("EXPORTER_ALLOWED_HOSTS", "ml01:19464", "leave out scheme and port"),
        ("EXPORTER_ROLE", "leader", "it has to be one of all, worker, evaluator$"),
        ("EXPORTER_ROLE", "worker", r"needs EXPORTER_STORE=postgresql://\.\.\.$"),
        ("EXPORTER_INGEST", "kafka", "for EXPORTER_ROLE worker and evaluator"),
        ("EXPORTER_KAFKA_BROKERS", "kafka:9092", "not for all: run one of each$"),
    ],
)
def test_a_value_that_cannot_be_used_is_an_error_that_names_the_setting(
    variable: str, text: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as error:
        load_settings({variable: text})

    assert str(error.value).startswith(variable)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "^EXPORTER_ROLE=evaluator needs EXPORTER_KAFKA_BROKERS, such as kafka:9092$"),
        ({"EXPORTER_KAFKA_BROKERS": "kafka"}, "^EXPORTER_KAFKA_BROKERS: 'kafka' is not host:port$"),
        (
            {"EXPORTER_KAFKA_BROKERS": "kafka:9092", "EXPORTER_KAFKA_TOPIC": "a b"},
            "^EXPORTER_KAFKA_TOPIC is 'a b', it must be 1 to 237 letters",
        ),
    ],
    ids=["no brokers", "no port", "topic"],
)
def test_a_role_of_a_group_says_which_settings_it_lacks(variables: dict[str, str], reason: str) -> None:
    given = {"EXPORTER_ROLE": "evaluator", "EXPORTER_STORE": "postgresql://db/exporter"}

    with pytest.raises(ConfigError, match=reason):
        load_settings(given | variables)


def test_a_role_of_a_group_has_its_brokers_and_topics() -> None:
    settings = load_settings(
        {
            "EXPORTER_ROLE": "worker",
            "EXPORTER_INGEST": "kafka",
            "EXPORTER_STORE": "postgresql://db/exporter",
            "EXPORTER_KAFKA_BROKERS": "kafka-0:9092, [::1]:9093",
            "EXPORTER_KAFKA_TOPIC": "ml.live",
        }
    )

    assert (settings.role, settings.ingest) == ("worker", "kafka")
    assert settings.kafka_brokers == ("kafka-0:9092", "[::1]:9093")
    assert settings.dead_letter_topic == "ml.live.dead-letter"


def test_an_unknown_variable_is_an_error_that_names_it_and_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"^unknown setting EXPORTER_WINDOW; did you mean EXPORTER_WINDOWS\?$"
    ):
        load_settings({"EXPORTER_WINDOW": "1h"})
    with pytest.raises(
        ConfigError, match=r"unknown setting EXPORTER_COLOUR, known are EXPORTER_ALLOWED_HOSTS, "
    ):
        load_settings({"EXPORTER_COLOUR": "red"})
    with pytest.raises(ConfigError, match=r"EXPORTER_DRIFT_TRESHOLD.*EXPORTER_DRIFT_THRESHOLD"):
        load_settings({"EXPORTER_DRIFT_TRESHOLD": "0.2"})


def test_an_unknown_flag_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match="colour"):
        load_settings({}, {"colour": "blue"})


def test_a_flag_is_checked_like_a_variable() -> None:
    with pytest.raises(ConfigError, match=r"^EXPORTER_PORT is 70000"):
        load_settings({}, {"port": 70000})


def test_a_token_file_needs_a_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        load_settings({"EXPORTER_API_TOKEN_FILE": str(file)})

    file.write_text("secret\n")
    assert load_settings({"EXPORTER_API_TOKEN_FILE": str(file)}).api_token_file == str(file)


def test_windows_are_sorted_by_length_and_keep_the_name_they_were_given() -> None:
    assert [window.name for window in load_settings({"EXPORTER_WINDOWS": "1d,90m,7d"}).windows] == [
        "90m",
        "1d",
        "7d",
    ]


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("5m", 300), ("24h", 86400), ("7d", 604800), ("2w", 1209600)]
)
def test_a_window_has_one_unit(text: str, seconds: int) -> None:
    assert parse_window(text) == Window(seconds, text)


def test_retention_follows_from_the_length_of_a_block() -> None:
    settings = Settings(block_seconds=300)

    assert settings.coarse_seconds == 3600
    assert settings.fine_retention_seconds == 26 * 3600
    assert settings.retention_seconds == 45 * 86400
