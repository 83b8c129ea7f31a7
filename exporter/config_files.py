"""The files of tokens and of the configuration, as a running process reads them again."""

from __future__ import annotations

import logging
from pathlib import Path

from exporter.config.file import ConfigFile, load_config_file
from exporter.errors import ConfigError
from exporter.exposition.telemetry import Telemetry
from exporter.settings import Settings
from exporter.tokens import Token, load_tokens

log = logging.getLogger(__name__)


def read_again(settings: Settings, telemetry: Telemetry) -> tuple[tuple[Token, ...], ConfigFile | None]:
    """Return the tokens, and the configuration or None without a file of it.

    Whoever takes a configuration over says so in `telemetry`.

    Raises:
        ConfigError: one cannot be used, which is in the log and in `telemetry`.
    """
    try:
        tokens = load_tokens(settings.api_token_file, settings.api_tokens_file)
        config = load_config_file(Path(settings.config), settings) if settings.config else None
    except ConfigError as error:
        log.error("the configuration is not taken: %s", error)
        telemetry.config_successful = False
        raise
    if config is None and telemetry.config_successful is False:  # because of the tokens
        telemetry.config_successful = True
    return tokens, config
