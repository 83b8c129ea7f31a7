"""The command line: `mlflow-exporter serve`, `mlflow-exporter demo`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from exporter import __version__
from exporter.config import Settings, load_settings
from exporter.errors import ConfigError, StoreError

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point. Exits with 2 for settings that cannot be used, 1 for what cannot be started."""
    options = _parser().parse_args(arguments)
    try:
        sys.exit(options.run(options))
    except ConfigError as error:
        sys.exit(_complain(error, 2))
    except StoreError as error:
        sys.exit(_complain(error, 1))


def _complain(error: Exception, status: int) -> int:
    print(f"mlflow-exporter: {error}", file=sys.stderr)  # noqa: T201 - a message to the person who called
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mlflow-exporter", description="Prometheus exporter for MLflow models in production."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="run the exporter",
        description="Run the exporter. MLflow is found by MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI, every "
        "other setting is an EXPORTER_* variable.",
    )
    serve.add_argument("--host", help=f"address to listen on (default {Settings.host})")
    serve.add_argument("--port", type=int, help=f"port to listen on (default {Settings.port})")
    serve.add_argument("--store", help=f"URI of the store (default {Settings.store})")
    serve.set_defaults(run=_serve)
    demo = commands.add_parser("demo", help="watch a real model drift, an alert fire and a mail arrive")
    from exporter.demo import app as demo_app

    demo_app.add_arguments(demo)
    demo.set_defaults(run=demo_app.run)
    return parser


def _serve(options: argparse.Namespace) -> int:
    import uvicorn

    from exporter.api.app import create_app
    from exporter.registry import Registry
    from exporter.service import Service

    flags = {"host": options.host, "port": options.port, "store": options.store}
    settings = load_settings(os.environ, flags)
    logging.basicConfig(level=settings.log_level.upper(), format=LOG_FORMAT)
    registry = Registry(None, None, settings.mlflow_timeout_seconds, settings.reference_max_rows)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(Service(settings, registry)),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=10,
            limit_concurrency=1000,
        )
    )
    server.run()
    return 0 if server.started else 1
