"""`mlflow-exporter init`."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterable, Iterator
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from exporter.errors import ConfigError
from exporter.formats.texts import listed, printable
from exporter.settings import Settings, load_settings

if TYPE_CHECKING:
    from exporter.cli.commands import Commands
    from exporter.registry.survey import Survey, SurveyedVersion

MAX_SHOWN = 20  # models of a kind
MAX_ENTRIES = 500  # of models in the file
NAME_LENGTH = 256  # of a key that the file may have


def add(commands: Commands) -> None:
    init = commands.add_parser(
        "init",
        help="look at MLflow, say what it lacks, and write a configuration file",
        description="Look at the registry of MLFLOW_TRACKING_URI, list what would be monitored and what "
        "lacks an alias or a reference, and write a commented configuration file and a scrape job.",
    )
    init.add_argument("--config", type=Path, default=Path("exporter.yml"), help="default exporter.yml")
    init.add_argument("--scrape", type=Path, metavar="FILE", help="for the scrape job; otherwise printed")
    init.add_argument("--force", action="store_true", help="overwrite files that are there")
    init.set_defaults(run=_init)


def _init(options: argparse.Namespace) -> int:
    from exporter.config.models import ModelsConfig
    from exporter.registry.registry import Registry

    settings = load_settings(os.environ)
    wanted = [path for path in (options.config, options.scrape) if path is not None]
    if there := [str(path) for path in wanted if path.exists() and not options.force]:
        raise ConfigError(f"{listed(there)} is there already; --force overwrites it")
    registry = Registry(None, None, settings.mlflow_timeout_seconds)
    survey = registry.survey(ModelsConfig())
    print("\n".join(_described(survey)), end="\n\n")
    _write(options.config, render_config(survey))
    print(f"{options.config}: written, everything in it is optional")
    if options.scrape is not None:
        _write(options.scrape, scrape_job(settings))
        print(f"{options.scrape}: written, for scrape_configs of Prometheus")
    else:
        print(f"Scrape job for Prometheus:\n\n{scrape_job(settings)}")
    print(f"Start it: mlflow-exporter serve --config {options.config}")
    return 0


def _write(path: Path, text: str) -> None:
    """
    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


# -- files --------------------------------------------------------------------------------------------------


def render_config(survey: Survey) -> str:
    """Text of a configuration file with an entry for each monitored model."""
    entries = []
    for model, versions in groupby(survey.versions, key=lambda each: each.model):
        held = ", ".join(f"{printable(alias)}: {each.version}" for each in versions for alias in each.aliases)
        if len(model) <= NAME_LENGTH:
            entries.append(f"  {_quoted(model)}: {{}} # {held}\n")
    further = len(entries) - MAX_ENTRIES
    more = [f"  # and {further} more\n"] if further > 0 else []
    template = files("exporter.config").joinpath("exporter.yml").read_text("utf-8")
    return template.replace("{models}\n", "".join([*entries[:MAX_ENTRIES], *more]) or "  #fraud: {}\n", 1)


def _quoted(name: str) -> str:
    """A name as YAML has it in double quotes; JSON's pairs of surrogates would be two characters there."""
    return yaml.safe_dump(name, default_style='"', width=math.inf).rstrip("\n")


def scrape_job(settings: Settings) -> str:
    """Scrape job as the alert rules expect it, for the exporter's address by these settings."""
    host = "localhost" if settings.host in ("127.0.0.1", "::1", "0.0.0.0", "::") else settings.host  # noqa: S104
    return (
        "scrape_configs:\n"
        "  - job_name: mlflow-exporter # the alert rules expect this name\n"
        f'    static_configs: [{{targets: ["{host}:{settings.port}"]}}]\n'
    )


# -- the survey ---------------------------------------------------------------------------------------------


def _described(survey: Survey) -> Iterator[str]:
    """Lines about a registry, the lacks with the line that mends them."""
    from exporter.web.needs import alias_need, reference_need

    usable = [each for each in survey.versions if each.reference]
    broken = [each for each in survey.versions if each.problem]
    lacking = [each for each in survey.versions if each.reference == "" and not each.problem]
    unknown = [each for each in survey.versions if each.reference is None]
    yield f"Monitored, with a reference: {_counted(usable)}"
    yield from _shown(f"{_named(each)}: {each.reference}" for each in usable)
    if lacking:
        yield f"Without a reference: {_counted(lacking)}. {reference_need('', '').cost}"
        yield from _shown(f"{_named(e)}: {reference_need(e.model, e.version).line}" for e in lacking)
    if broken:
        yield f"With a reference that cannot be used: {_counted(broken)}"
        yield from _shown(f"{_named(each)}: {printable(each.problem)}" for each in broken)
    if unknown:
        yield f"Not looked at, since there are so many: {_counted(unknown)}"
    if without := survey.without_alias:
        yield f"Not monitored, for no alias leads to a version: {len(without)} models"
        lines = [
            f"{printable(model)}: {alias_need(model, version).line if version else 'it has no versions'}"
            for model, version in without.items()
        ]
        yield from _shown(lines)
    if survey.switched_off:
        yield f"Opted out by monitoring.enabled: {listed([*map(printable, survey.switched_off)], MAX_SHOWN)}"


def _counted(versions: list[SurveyedVersion]) -> str:
    models = len({each.model for each in versions})
    return f"{len(versions)} versions of {models} models" if versions else "none"


def _named(each: SurveyedVersion) -> str:
    return f"{printable(each.model)} version {each.version} ({', '.join(map(printable, each.aliases))})"


def _shown(lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    yield from (f"  {line}" for line in found[:MAX_SHOWN])
    if more := len(found[MAX_SHOWN:]):
        yield f"  and {more} more"
