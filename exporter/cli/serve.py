"""`mlflow-exporter serve`."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread, Timer
from typing import TYPE_CHECKING

from exporter.errors import ConfigError
from exporter.logs import configure_logging
from exporter.settings import Settings, load_settings

if TYPE_CHECKING:
    from socket import socket

    from uvicorn import Server

    from exporter.cli.commands import Commands
    from exporter.service import Service
    from exporter.worker.worker import Worker

log = logging.getLogger(__name__)

MAX_END_SECONDS = 30.0  # for a shutdown after the store was lost


def add(commands: Commands) -> None:
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


def _serve(options: argparse.Namespace) -> int:
    from exporter.api.server import bound_sockets

    flags = {name: getattr(options, name) for name in ("config", "host", "port", "store")}
    settings = load_settings(os.environ, flags)
    # A batch is thousands of short tuples, none in a cycle; looking for cycles every 700 allocations takes a
    # quarter of its time.
    gc.set_threshold(50_000, 20, 20)
    configure_logging(settings.log_level)
    with bound_sockets(settings) as sockets:  # before a store is made
        if settings.role == "worker":
            return _serve_worker(settings, sockets)
        if settings.store.startswith("postgresql"):
            return _serve_replica(settings, sockets)
        return _serve_service(settings, sockets)


def _serve_service(settings: Settings, sockets: list[socket]) -> int:
    """Serve with a store that this process alone uses."""
    from exporter.api.app import create_app
    from exporter.api.server import make_server
    from exporter.registry.registry import Registry
    from exporter.service import Service

    service = Service(settings, Registry(None, None, settings.mlflow_timeout_seconds))
    _start(service)  # here, since the server would log an unreadable store with a traceback
    server = make_server(create_app(service), settings, service.telemetry)
    _reload_on_signal(lambda: service)
    Thread(target=_end_when, args=(service.store.was_lost, server), name="end", daemon=True).start()
    _run(server, settings, sockets)
    return 0 if server.started and not service.store.lost else 1


def _serve_worker(settings: Settings, sockets: list[socket]) -> int:
    """Serve as a worker of a Kafka group, which needs no MLflow."""
    from exporter.api.server import make_server
    from exporter.api.worker_app import create_worker_app
    from exporter.worker.worker import Worker

    worker = Worker(settings)
    server = make_server(create_worker_app(worker), settings, worker.telemetry)
    _reload_on_signal(lambda: worker)
    gc.collect()
    gc.freeze()
    Thread(target=_end_when, args=(worker.was_lost, server), name="end", daemon=True).start()
    _run(server, settings, sockets)
    return 0 if server.started and not worker.failed else 1


def _serve_replica(settings: Settings, sockets: list[socket]) -> int:
    """Serve with a database that other processes may use as well: one of them leads, the others stand by."""
    from exporter.api.server import make_server
    from exporter.api.standby import Replica
    from exporter.exposition.telemetry import Telemetry
    from exporter.registry.registry import Registry
    from exporter.service import Service

    registry = Registry(None, None, settings.mlflow_timeout_seconds)
    telemetry = Telemetry()

    def start_service(leads: Callable[[], bool]) -> Service:
        service = Service(settings, registry, telemetry=telemetry, leads=leads)
        _start(service)
        return service

    replica = Replica(settings, telemetry, start_service, lambda: _end(server))
    server = make_server(replica, settings, telemetry)
    _reload_on_signal(lambda: replica.service)
    replica.start()
    _run(server, settings, sockets)
    if replica.error is not None:
        raise replica.error
    return 0 if server.started else 1


def _start(service: Service) -> None:
    service.start()
    # Modules and the like last; a collection that includes them stops all threads for over a tenth of a
    # second.
    gc.collect()
    gc.freeze()


def _run(server: Server, settings: Settings, sockets: list[socket]) -> None:
    log.info("listening on %s, port %d", settings.host, sockets[0].getsockname()[1])
    with suppress(KeyboardInterrupt):  # uvicorn raises it again once it has ended
        server.run(sockets)


def _end_when(lost: Event, server: Server) -> None:
    """End the process once its memory may differ from the store; its successor reads the store."""
    lost.wait()
    _end(server)


def _end(server: Server) -> None:
    """Have the server end, and the process in any case. Any thread may call it."""
    server.should_exit = True
    last = Timer(MAX_END_SECONDS, os._exit, [1])
    last.daemon = True
    last.start()


def _reload_on_signal(service: Callable[[], Service | Worker | None]) -> None:
    def reload() -> None:
        with suppress(ConfigError):  # it is in the log, and on /metrics
            if (started := service()) is not None:
                started.reload()

    signal.signal(signal.SIGHUP, lambda *_: Thread(target=reload, name="reload").start())
