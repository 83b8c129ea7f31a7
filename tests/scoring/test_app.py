"""The application of a worker: its options, and what is missing for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.scoring.app import ServingOptions, import_server, make_app

OPTIONS = ServingOptions("model", "fraud", "3", "http://127.0.0.1:1", leave_out=("a",), hashed=("b", "c"))


def test_workers_get_the_options_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OPTIONS.to_environment().items():
        monkeypatch.setenv(name, value)

    assert ServingOptions.from_environment() == OPTIONS


def test_secrets_are_read_from_files(tmp_path: Path) -> None:
    path = tmp_path / "missing"
    options = ServingOptions("model", "fraud", "3", "http://127.0.0.1:1", token_file=str(path))

    with pytest.raises(ConfigError, match="missing cannot be read"):
        options.monitor()
    path.write_text("secret\n")
    options.monitor().close()


def test_options_that_cannot_be_used_are_told() -> None:
    with pytest.raises(ConfigError, match="hash_key"):
        OPTIONS.monitor()


def test_a_package_that_the_scoring_server_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("mlflow.pyfunc")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", None)  # what imports it fails

    with pytest.raises(ConfigError, match=r"pip install 'mlflow-exporter\[serving\]'"):
        import_server()


def test_a_package_that_the_model_lacks_is_told_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Server:
        def load_model_with_mlflow_config(self, path: str) -> object:
            raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")

    (tmp_path / "requirements.txt").write_text("mlflow==3.17.2\nscikit-learn==1.9.1\n")
    monkeypatch.setattr("exporter.scoring.app.import_server", Server)

    with pytest.raises(ConfigError, match=r"sklearn.* pip install 'mlflow==3.17.2' 'scikit-learn==1.9.1'"):
        make_app(ServingOptions(str(tmp_path), "fraud", "3", "http://127.0.0.1:1"))


def test_a_model_that_fails_to_load_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        def load_model_with_mlflow_config(self, path: str) -> object:
            raise AttributeError("Can't get attribute 'Scaler'")

    monkeypatch.setattr("exporter.scoring.app.import_server", Server)

    with pytest.raises(ConfigError, match="cannot be loaded: AttributeError: Can't get attribute 'Scaler'"):
        make_app(ServingOptions("model", "fraud", "3", "http://127.0.0.1:1"))
