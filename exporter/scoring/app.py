"""ASGI application of a worker: MLflow's scoring server within the middleware."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from exporter.client import Monitor, MonitoringMiddleware
from exporter.errors import ConfigError
from exporter.tokens import read_secret

STARTUP_FAILURE = 3  # uvicorn.config.STARTUP_FAILURE
VARIABLE = "_MLFLOW_EXPORTER_SERVE_MODEL"  # by which workers get the options


@dataclass(frozen=True)
class ServingOptions:
    """Model that is served, and how its predictions are sent; the fields are those of `Monitor`."""

    path: str  # of the model's files
    model: str
    version: str
    url: str
    token_file: str = ""
    sample: float = 1.0
    leave_out: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    hash_key_file: str = ""
    id_column: str = ""

    def to_environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> ServingOptions:
        found = json.loads(os.environ[VARIABLE])
        return cls(**found | {name: tuple(found[name]) for name in ("leave_out", "hashed")})

    def monitor(self, feature_names: tuple[str, ...] = ()) -> Monitor:
        """Monitor that these options describe.

        Raises:
            ConfigError: one of them cannot be used.
        """
        return Monitor(
            self.url,
            model=self.model,
            version=self.version,
            token=read_secret(self.token_file),
            sample=self.sample,
            leave_out=self.leave_out,
            hashed=self.hashed,
            hash_key=read_secret(self.hash_key_file),
            feature_names=feature_names,
        )


def create_app() -> MonitoringMiddleware:
    """Application by the options in the environment, for uvicorn's workers.

    A worker that cannot serve the model says why and ends with uvicorn's `STARTUP_FAILURE`, with which all
    workers end. After any other failure it would be started again and again.
    """
    try:
        return make_app(ServingOptions.from_environment())
    except ConfigError as error:
        sys.stderr.write(f"mlflow-exporter: {error}\n")
        sys.exit(STARTUP_FAILURE)


def make_app(options: ServingOptions) -> MonitoringMiddleware:
    """Load the model, and return the application that serves it.

    Raises:
        ConfigError: the model cannot be loaded, lacks a package, or an option cannot be used.
    """
    server = import_server()
    try:
        model = server.load_model_with_mlflow_config(options.path)
        app = server.init(model)
    except ImportError as error:
        raise ConfigError(
            f"the model needs {error.name or error}, which is not installed: {_pip_line(Path(options.path))}"
        ) from error
    except Exception as error:
        raise ConfigError(f"the model cannot be loaded: {type(error).__name__}: {error}") from error
    schema = model.metadata.get_input_schema()
    names = tuple(schema.input_names()) if schema is not None and schema.has_input_names() else ()
    return MonitoringMiddleware(
        app, options.monitor(names), id_column=options.id_column, classes=_classes(model)
    )


def import_server() -> Any:
    """Module of MLflow's scoring server.

    Raises:
        ConfigError: a package that it needs is missing.
    """
    try:
        from mlflow.pyfunc import scoring_server
    except ImportError as error:
        raise ConfigError(
            f"MLflow's scoring server needs {error.name or error}, which is not installed: "
            "pip install 'mlflow-exporter[serving]', and the requirements.txt of the model"
        ) from error
    return scoring_server


def _pip_line(directory: Path) -> str:
    try:
        lines = (directory / "requirements.txt").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return "install what the model was trained with"
    needed = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return "pip install " + " ".join(f"'{each}'" for each in needed)


def _classes(model: Any) -> tuple[str, ...]:
    """Classes of a model of scikit-learn or like it, in the order of its probabilities."""
    try:
        return tuple(model.get_raw_model().classes_.tolist())
    except Exception:  # noqa: BLE001 - of a model that may be anything
        return ()
