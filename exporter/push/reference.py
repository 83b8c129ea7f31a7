"""Asks the exporter which columns the reference of a version has."""

from __future__ import annotations

from exporter.client.connection import Connection
from exporter.formats.addresses import version_path
from exporter.push.batches import Destination


def reference_columns(connection: Connection, target: Destination) -> dict[str, str]:
    """Kinds of the reference's features by name; empty while there is no reference, or it is not evaluated.

    Raises:
        UnreachableError: no answer came.
        CallRefusedError: the exporter refused; with 404 it does not monitor the version.
    """
    version = target.version
    if target.alias:
        models = {each["model"]: each["versions"] for each in connection.get("/v1/models")["models"]}
        named = [v["version"] for v in models.get(target.model, ()) if target.alias in v["aliases"]]
        if not named:
            return {}
        version = named[0]
    columns = connection.get(f"/v1/{version_path(target.model, version)}")["columns"]
    return {each["column"]: each["kind"] for each in columns if each["role"] == "feature"}
