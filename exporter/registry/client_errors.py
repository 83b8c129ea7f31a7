"""Errors of MLflow's client in the exporter's terms."""

from __future__ import annotations

import re
from socket import gaierror
from ssl import SSLError

from exporter.errors import RegistryAuthError, RegistryError, RegistryUnreachableError
from exporter.formats.texts import first_line

UNCLASSIFIED = 500  # the status of errors of MLflow's that were given none


class MissingError(RegistryError):
    """MLflow has no such run, model or version."""


def translate(error: BaseException, uri: str, timeout_seconds: float | None) -> RegistryError:
    """The exporter's error for one of MLflow's client, of `requests`, or of an unexpected answer.

    `uri` is the server's, without its password.
    """
    where = f"MLflow at {uri}"
    chain = _chain(error)
    # What another server answers MLflow's client quotes, and its first line alone has no second quote.
    _, foreign, text = first_line(error).rpartition("Response body: ")
    text = text.strip("'") if foreign else text
    status = _http_status(chain)
    if "Invalid Host header" in str(error):
        return RegistryAuthError(
            f"{where} does not know this name as its own: see its option --allowed-hosts"
        )
    if status in (401, 403):
        return RegistryAuthError(
            f"{where} refuses us (HTTP {status}): {text}; check MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, and what this user may read"
        )
    if status == 404 and foreign:
        return MissingError(
            f"{uri} does not answer as MLflow does (HTTP 404: {text}); check host, port and path"
        )
    if status == 404:
        return MissingError(f"{where} has no such thing: {text}")
    if any("Timeout" in type(link).__name__ for link in chain):
        limit = "in time" if timeout_seconds is None else f"within {timeout_seconds:g} s"
        return RegistryUnreachableError(f"{where} did not answer {limit}")
    for link in reversed(chain):
        if isinstance(link, ConnectionError | gaierror | SSLError):
            return RegistryUnreachableError(f"{where} cannot be reached: {link.strerror or first_line(link)}")
    if status is not None and (status >= 500 or status == 429):
        return RegistryUnreachableError(f"{where} is in trouble (HTTP {status})")
    if status is not None and status >= 400:
        return RegistryError(f"{where} refuses the request (HTTP {status}): {text}")
    # Of a download MLflow's client passes on only texts, one per file, below a first line without the reason.
    if failed := re.search(r"^##### File .* #####\n(.+)", str(error), re.MULTILINE):
        return RegistryError(f"a file of {where} cannot be downloaded: {failed[1]}")
    return RegistryError(f"{where} does not answer as MLflow should: {text}")


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error and what led to it, outermost first."""
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def _http_status(chain: list[BaseException]) -> int | None:
    """Status of the answer that an error is about, None where there was no answer."""
    for link in chain:
        response = getattr(link, "response", None)
        if response is not None:  # an error of requests
            return int(response.status_code)
        # MLflow where the body is not its own, and urllib3 after the last attempt
        told = re.search(r"failed with error code (\d{3})|too many (\d{3}) error responses", str(link))
        if told:
            return int(told[1] or told[2])
        code = getattr(link, "get_http_status_code", None)  # of MLflow's errors
        if code is not None and code() != UNCLASSIFIED:
            return int(code())
    return None
