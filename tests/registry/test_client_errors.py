from __future__ import annotations

from mlflow.exceptions import MlflowException

from exporter.registry.client_errors import translate

URI = "http://mlflow:5000"


def test_a_file_that_cannot_be_downloaded_is_told_with_the_reason() -> None:
    """As where the disk for temporary files is full: MLflow is not at fault."""
    error = MlflowException(
        "The following failures occurred while downloading one or more artifacts from http://mlflow:5000/api:\n"
        "##### File extra_files/reference.parquet #####\n[Errno 28] No space left on device"
    )
    assert str(translate(error, URI, 10)) == (
        "a file of MLflow at http://mlflow:5000 cannot be downloaded: [Errno 28] No space left on device"
    )
