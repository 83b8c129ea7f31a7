"""Addresses of versions, in the API and of the pages."""

from __future__ import annotations

from urllib.parse import quote

from starlette.convertors import Convertor, register_url_convertor


class _ModelName(Convertor[str]):
    """Path parameter of any text: model names may contain slashes, and line breaks, which `path` refuses."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("model_name", _ModelName())

VERSION_PATH = "/models/{model:model_name}/versions/{version}"


def version_path(model: str, version: str) -> str:
    """Return the path of a version, without a slash at the start.

    >>> version_path("team/fraud <1>", "3")
    'models/team%2Ffraud%20%3C1%3E/versions/3'
    """
    return f"models/{quote(model, safe='')}/versions/{quote(version, safe='')}"
