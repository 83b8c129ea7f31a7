"""The command line: `mlflow-exporter serve`, `check-config`, `rebaseline` and `demo`."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NoReturn

from exporter import __version__
from exporter.api import admin_client
from exporter.errors import ConfigError, ExporterError
from exporter.formats.texts import redact
from exporter.logs import configure_logging
from exporter.settings import Settings, load_settings

if TYPE_CHECKING:
    from uvicorn import Server

    from exporter.service import Service

log = logging.getLogger(__name__)

MAX_END_SECONDS = 30.0  # of a shutdown of a process that must not go on


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Entry point. Exits with 2 for settings that cannot be used, 1 for what cannot be started."""
    options = _parser().parse_args(arguments)
    try:
        sys.exit(options.run(options))
    except ConfigError as error:
        sys.exit(_complain(error, 2))
    except ExporterError as error:
        sys.exit(_complain(error, 1))


def _complain(error: Exception, status: int) -> int:
    print(f"mlflow-exporter: {redact(str(error))}", file=sys.stderr)  # noqa: T201 - a message to the person who called
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
    serve.add_argument("--config", help="file that says what is special about models (default none)")
    serve.add_argument("--host", help=f"address to listen on (default {Settings.host})")
    serve.add_argument("--port", type=int, help=f"port to listen on (default {Settings.port})")
    serve.add_argument("--store", help=f"URI of the store (default {Settings.store})")
    serve.set_defaults(run=_serve)
    check = commands.add_parser("check-config", help="say what is wrong with a configuration file")
    check.add_argument("file", type=Path)
    check.set_defaults(run=_check_config)
    rebaseline = commands.add_parser(
        "rebaseline",
        help="replace the reference of a version, on purpose",
        description="Ask a running exporter to replace the reference of a version. EXPORTER_API_TOKEN_FILE "
        "names the file with its token.",
    )
    admin_client.add_arguments(rebaseline)
    demo = commands.add_parser("demo", help="watch a real model drift, an alert fire and a mail arrive")
    from exporter.demo import app as demo_app

    demo_app.add_arguments(demo)
    demo.set_defaults(run=demo_app.run)
    return parser


def _check_config(options: argparse.Namespace) -> int:
    from exporter.model_config import load_config_file

    models = ", ".join(load_config_file(options.file, load_settings(os.environ)).models)
    print(f"{options.file}: no mistakes; models with an entry: {models or 'none'}")  # noqa: T201 - likewise
    return 0


def _serve(options: argparse.Namespace) -> int:
    from exporter.api.listening import bound_sockets
    from exporter.api.server import make_server
    from exporter.profiling.memory import limit_arenas
    from exporter.registry.registry import Registry
    from exporter.service import Service

    flags = {name: getattr(options, name) for name in ("config", "host", "port", "store")}
    settings = load_settings(os.environ, flags)
    # A batch is thousands of short tuples, none in a cycle; to look for cycles every 700 of them takes a
    # quarter of its time.
    gc.set_threshold(50_000, 20, 20)
    limit_arenas()
    configure_logging(settings.log_level)
    with bound_sockets(settings) as sockets:  # before a store is made
        registry = Registry(None, None, settings.mlflow_timeout_seconds, settings.reference_max_rows)
        service = Service(settings, registry)
        reload = partial(Thread, target=_reload, args=(service,), name="reload")
        signal.signal(signal.SIGHUP, lambda *_: reload().start())
        service.start()  # here: the server would log a store that cannot be read with a traceback
        server = make_server(service)
        # Modules and the like, which last: to look through them after each reference would stop all threads
        # for a good tenth of a second.
        gc.collect()
        gc.freeze()
        Thread(target=_end_when_lost, args=(service, server), name="end", daemon=True).start()
        log.info("listening on %s, port %d", settings.host, sockets[0].getsockname()[1])
        server.run(sockets)
    return 0 if server.started and not service.store.lost else 1


def _end_when_lost(service: Service, server: Server) -> None:
    """End the process once its memory may differ from the store; a new one reads the store."""
    service.store.was_lost.wait()
    server.should_exit = True
    time.sleep(MAX_END_SECONDS)
    os._exit(1)


def _reload(service: Service) -> None:
    with suppress(ConfigError):  # it is in the log, and on /metrics
        service.reload()
