"""Path of a version in routes, of the API and of the pages."""

from __future__ import annotations

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
