"""Command line: `mlflow-exporter serve`, `check-config`, `rebaseline` and `demo`.

Each command imports what it needs when it runs, so that `--help` is fast.
"""

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
from exporter.errors import ConfigError, DemoError, ExporterError
from exporter.formats.texts import redact
from exporter.logs import configure_logging
from exporter.settings import Settings, load_settings

if TYPE_CHECKING:
    from uvicorn import Server

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

    from exporter.service import Service

log = logging.getLogger(__name__)

MAX_END_SECONDS = 30.0  # for a shutdown after the store was lost
DEFAULT_URL = f"http://{Settings.host}:{Settings.port}"
DEMO_EXTRA = "pip install 'mlflow-exporter[demo]'"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: with 2 for unusable settings, with 1 for any other known error."""
    options = _parser().parse_args(arguments)
    try:
        sys.exit(options.run(options))
    except ConfigError as error:
        sys.exit(_complain(error, 2))
    except ExporterError as error:
        sys.exit(_complain(error, 1))


def _complain(error: Exception, status: int) -> int:
    print(f"mlflow-exporter: {redact(str(error))}", file=sys.stderr)  # noqa: T201 - for the user
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "mlflow-exporter", description="Prometheus exporter for MLflow models in production."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_check_config(commands)
    _add_rebaseline(commands)
    _add_demo(commands)
    return parser


def _add_serve(commands: Commands) -> None:
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


def _add_check_config(commands: Commands) -> None:
    check = commands.add_parser("check-config", help="say what is wrong with a configuration file")
    check.add_argument("file", type=Path)
    check.set_defaults(run=_check_config)


def _add_rebaseline(commands: Commands) -> None:
    rebaseline = commands.add_parser(
        "rebaseline",
        help="replace the reference of a version, on purpose",
        description="Ask a running exporter to replace the reference of a version. EXPORTER_API_TOKEN_FILE "
        "names the file with its token.",
    )
    rebaseline.add_argument("model")
    rebaseline.add_argument("version")
    source = rebaseline.add_mutually_exclusive_group(required=True)
    source.add_argument("--live", metavar="24h", help="what was counted in so long, in the bins as they are")
    source.add_argument("--file", type=Path, help="Parquet with the columns of a reference")
    rebaseline.add_argument("--reason", required=True, help="why; kept with the change")
    rebaseline.add_argument("--by", help="who (default the user of this machine)")
    rebaseline.add_argument(
        "--exporter", default=DEFAULT_URL, help="address of the running exporter (default %(default)s)"
    )
    rebaseline.set_defaults(run=_rebaseline)


def _add_demo(commands: Commands) -> None:
    demo = commands.add_parser("demo", help="watch a real model drift, an alert fire and a mail arrive")
    demo.add_argument(
        "--until-mail",
        action="store_true",
        help="end by itself: with 0 once the mail of the drift alert has come, with 1 if it has not come "
        "five minutes after the incident",
    )
    demo.add_argument(
        "--speed",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="how fast the flights are replayed, at most 1: a day in five seconds (default: %(default)s)",
    )
    demo.add_argument(
        "--traffic-only",
        action="store_true",
        help="start nothing: register the model at MLFLOW_TRACKING_URI and replay flights to --exporter",
    )
    demo.add_argument(
        "--exporter",
        default=DEFAULT_URL,
        metavar="URL",
        help="where the exporter is, with --traffic-only (default: %(default)s)",
    )
    demo.set_defaults(run=_demo)


def _check_config(options: argparse.Namespace) -> int:
    from exporter.config_file import load_config_file

    models = ", ".join(load_config_file(options.file, load_settings(os.environ)).models)
    print(f"{options.file}: no mistakes; models with an entry: {models or 'none'}")  # noqa: T201 - for the user
    return 0


def _rebaseline(options: argparse.Namespace) -> int:
    from exporter.api.admin_client import rebaseline

    rebaseline(options)
    return 0


def _demo(options: argparse.Namespace) -> int:
    try:
        from exporter.demo.app import run

        return run(options.speed, options.until_mail, options.traffic_only, options.exporter)
    except ModuleNotFoundError as error:
        raise DemoError(f"{error.name} is not installed; {DEMO_EXTRA}") from None


def _serve(options: argparse.Namespace) -> int:
    from exporter.api.server import bound_sockets, make_server
    from exporter.registry.registry import Registry
    from exporter.service import Service

    flags = {name: getattr(options, name) for name in ("config", "host", "port", "store")}
    settings = load_settings(os.environ, flags)
    # A batch is thousands of short tuples, none in a cycle; looking for cycles every 700 allocations takes a
    # quarter of its time.
    gc.set_threshold(50_000, 20, 20)
    configure_logging(settings.log_level)
    with bound_sockets(settings) as sockets:  # before a store is made
        registry = Registry(None, None, settings.mlflow_timeout_seconds)
        service = Service(settings, registry)
        reload = partial(Thread, target=_reload, args=(service,), name="reload")
        signal.signal(signal.SIGHUP, lambda *_: reload().start())
        service.start()  # here, since the server would log an unreadable store with a traceback
        server = make_server(service)
        # Modules and the like last; a collection that includes them stops all threads for over a tenth of a
        # second.
        gc.collect()
        gc.freeze()
        Thread(target=_end_when_lost, args=(service, server), name="end", daemon=True).start()
        log.info("listening on %s, port %d", settings.host, sockets[0].getsockname()[1])
        server.run(sockets)
    return 0 if server.started and not service.store.lost else 1


def _end_when_lost(service: Service, server: Server) -> None:
    """End the process once its memory may differ from the store; its successor reads the store."""
    service.store.was_lost.wait()
    server.should_exit = True
    time.sleep(MAX_END_SECONDS)
    os._exit(1)


def _reload(service: Service) -> None:
    with suppress(ConfigError):  # it is in the log, and on /metrics
        service.reload()
