"""`mlflow-exporter serve-model`: MLflow's scoring server, whose predictions go to the exporter."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING

from exporter.cli.client import TOKEN_VARIABLE, add_client_options
from exporter.errors import ConfigError

if TYPE_CHECKING:
    from exporter.cli.commands import Commands
    from exporter.scoring.app import ServingOptions

DEFAULT_PORT = 5000  # those of `mlflow models serve`
DEFAULT_HOST = "127.0.0.1"
TIMEOUT_VARIABLE = "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"


def add(commands: Commands) -> None:
    serve = commands.add_parser(
        "serve-model",
        add_help=False,  # -h is the host, as of `mlflow models serve`
        help="serve a model as `mlflow models serve` does, and monitor it",
        description="Serve a model with MLflow's own scoring server, and send its predictions, their latency "
        "and requests that failed to the exporter. If that is down, serving goes on. The model runs in this "
        "Python environment: install its requirements.txt here.",
    )
    serve.add_argument("--help", action="help", help="show this help message and exit")
    serve.add_argument(
        "-m",
        "--model-uri",
        required=True,
        metavar="URI",
        help="models:/fraud@champion, models:/fraud/3, or any other with --model and --version",
    )
    serve.add_argument("-p", "--port", type=int, default=DEFAULT_PORT, help="port (default %(default)s)")
    serve.add_argument("-h", "--host", default=DEFAULT_HOST, help="address (default %(default)s)")
    serve.add_argument("-w", "--workers", type=int, default=1, help="number of processes (default 1)")
    serve.add_argument(
        "-t",
        "--timeout",
        type=int,
        metavar="SECONDS",
        help="longest time for a request (default MLflow's, 60)",
    )
    serve.add_argument("--env-manager", choices=("local",), default="local", help=argparse.SUPPRESS)
    serve.add_argument("--model", default="", help="registered model, if the URI does not tell it")
    serve.add_argument("--version", default="", help="its version")
    add_client_options(serve)
    serve.add_argument(
        "--sample", type=float, default=1.0, metavar="FRACTION", help="of the rows that is sent (default 1)"
    )
    for name, text in (("--leave-out", "is not sent"), ("--hashed", "is sent as keyed hashes")):
        serve.add_argument(
            name,
            action="append",
            default=[],
            metavar="COLUMN",
            help=f"feature that {text}; repeat it for more",
        )
    serve.add_argument("--hash-key-file", default="", metavar="FILE", help="file with the key of --hashed")
    serve.add_argument(
        "--id-column",
        default="",
        metavar="COLUMN",
        help="column with ids of predictions (default: the header X-Prediction-Id, or made)",
    )
    serve.set_defaults(run=_serve_model)


def _serve_model(options: argparse.Namespace) -> int:
    from exporter.scoring.app import ServingOptions, import_server
    from exporter.scoring.source import find_source, model_files

    if options.workers < 1:
        raise ConfigError(f"--workers is {options.workers}, it must be 1 or more")
    import_server()  # before anything is downloaded for it
    source = find_source(options.model_uri, options.model, options.version)
    with model_files(source) as path:
        serving = ServingOptions(
            path=str(path.resolve()),
            model=source.model,
            version=source.version,
            url=options.exporter,
            token_file=options.token_file or os.environ.get(TOKEN_VARIABLE, "").strip(),
            sample=options.sample,
            leave_out=tuple(options.leave_out),
            hashed=tuple(options.hashed),
            hash_key_file=options.hash_key_file,
            id_column=options.id_column,
        )
        serving.monitor()  # raises for options that cannot be used, as each worker would
        _run(serving, options)
    return 0


def _run(serving: ServingOptions, options: argparse.Namespace) -> None:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from exporter.scoring.app import STARTUP_FAILURE, make_app

    if options.timeout is not None:
        os.environ[TIMEOUT_VARIABLE] = str(options.timeout)
    # uvicorn raises the signal that ended it once more, which would leave the model's files behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"serving version {serving.version} of {serving.model}; its predictions go to {serving.url}")
    sys.stdout.flush()
    if options.workers == 1:
        uvicorn.run(make_app(serving), host=options.host, port=options.port)
        return
    os.environ.update(serving.to_environment())
    config = uvicorn.Config(
        "exporter.scoring.app:create_app",
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
    )
    workers = Multiprocess(config, [config.bind_socket()])
    workers.run()
    if any(worker.exitcode == STARTUP_FAILURE for worker in workers.processes):
        raise ConfigError("a worker could not start, as it says above")
