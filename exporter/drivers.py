"""Drivers of stores, brokers and clouds, which are installed where they are needed."""

from __future__ import annotations

from importlib.util import find_spec

# Distribution by the module that is imported.
_DISTRIBUTIONS = {
    "psycopg": "psycopg[binary]",
    "confluent_kafka": "confluent-kafka",
    "boto3": "boto3",
    "google.cloud.storage": "google-cloud-storage",
    "azure.storage.blob": "azure-storage-blob",
    "azure.storage.filedatalake": "azure-storage-file-datalake",
}
# Module by the scheme of MLflow's artifact stores.
_ARTIFACT_STORES = {
    "s3": "boto3",
    "r2": "boto3",
    "b2": "boto3",
    "gs": "google.cloud.storage",
    "wasbs": "azure.storage.blob",
    "abfss": "azure.storage.filedatalake",
}


def missing_driver(module: str) -> str:
    """Return what to install where a driver is missing, empty if it is there.

    Args:
        module: the one that is imported, such as `psycopg`.
    """
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:  # of a parent of it
        found = False
    if found:
        return ""
    name = _DISTRIBUTIONS[module]
    return f"{name} is not installed: pip install '{name}', or take the target `full` of the image"


def missing_artifact_driver(scheme: str) -> str:
    """Return the same for artifacts in a store with a scheme such as `s3`; empty for schemes without one."""
    module = _ARTIFACT_STORES.get(scheme)
    return missing_driver(module) if module else ""
