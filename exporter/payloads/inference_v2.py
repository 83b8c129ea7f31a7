"""V2 of the inference protocol (Open Inference Protocol), as KServe, MLServer and Triton speak it -> columns.

    {"id": "7", "inputs": [{"name": "age", "shape": [2, 1], "datatype": "INT64", "data": [41, 27]}]}
    {"id": "7", "outputs": [{"name": "predict", "shape": [2], "datatype": "INT64", "data": [0, 1]}]}

Data is flat in row-major order, or nested. The first dimension of a tensor is the rows; the others make its
columns. Binary tensors are behind the JSON, in its order, each of `parameters.binary_data_size` bytes. A
header says where the JSON ends, but loggers do not forward it, so the end is found.
https://github.com/kserve/open-inference-protocol; Triton's "binary tensor data extension"; MLServer's
"content types".
"""

from __future__ import annotations

import json
import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from itertools import chain
from math import prod
from struct import iter_unpack, unpack_from
from typing import Any

from exporter.errors import MalformedError, TooLargeError
from exporter.payloads.columns import AnswerColumns, RequestColumns, check_same_length
from exporter.payloads.limits import MAX_COLUMNS, MAX_VALUES, check_rows
from exporter.payloads.outputs import ANY_NAMES, OutputNames, choose_outputs
from exporter.payloads.tensors import spread_columns
from exporter.settings import Settings

# Type code of `array`, and bytes of a value.
_ARRAYS = {
    "UINT8": ("B", 1), "UINT16": ("H", 2), "UINT32": ("I", 4), "UINT64": ("Q", 8),
    "INT8": ("b", 1), "INT16": ("h", 2), "INT32": ("i", 4), "INT64": ("q", 8),
    "FP32": ("f", 4), "FP64": ("d", 8),
}  # fmt: skip
_LENGTH_BYTES = 4  # before each element of BYTES
_DECODER = json.JSONDecoder()


def is_v2(document: Mapping[str, Any]) -> bool:
    """True for a request or an answer of V2; V1 has lists of values under the same keys."""
    found = document.get("inputs", document.get("outputs"))
    return isinstance(found, list) and bool(found) and isinstance(found[0], dict) and "shape" in found[0]


def split_binary(body: bytes, header_length: int | None = None) -> tuple[bytes, bytes]:
    """Split a body into the JSON object that it begins with and the binary tensors behind it.

    Args:
        body: of a request or an answer.
        header_length: bytes of JSON by `Inference-Header-Content-Length`; None to find its end.

    Raises:
        MalformedError: it does not begin with a JSON object.
    """
    if header_length is not None:
        return body[:header_length], body[header_length:]
    text = body.decode("latin-1")  # a character a byte, so that places agree
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        found, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        raise MalformedError("neither JSON nor JSON with binary tensors behind it") from None
    if not isinstance(found, dict):
        raise MalformedError("the body must be a JSON object")
    return body[start:end], body[end:]


def read_request(document: Mapping[str, Any], binary: bytes, settings: Settings) -> RequestColumns:
    """Features of a request; `binary` is what was behind the document.

    Raises:
        MalformedError: it cannot be read, or shapes or sizes do not match the data.
        TooLargeError: too many rows or values.
    """
    tensors = _read(document, "inputs", binary)
    firsts = [columns[0] for columns in tensors.values()]
    check_same_length(firsts, "inputs")
    check_rows(len(firsts[0]), settings, "inputs")
    return spread_columns(len(firsts[0]), tensors, settings)


def read_response(
    document: Mapping[str, Any],
    binary: bytes,
    rows: int,
    names: OutputNames = ANY_NAMES,
    classes: Sequence[str] = (),
) -> AnswerColumns:
    """Predictions and scores of an answer to `rows` rows; `names` and `classes` as in `choose_outputs`.

    Raises:
        MalformedError: as for a request; more or fewer rows, or no output of a name.
        TooLargeError: too many values.
    """
    outputs = {
        name: columns[0] if len(columns) == 1 else [*map(list, zip(*columns, strict=True))]
        for name, columns in _read(document, "outputs", binary).items()
    }
    return choose_outputs(outputs, rows, names, classes)


def _read(document: Mapping[str, Any], key: str, binary: bytes) -> dict[str, list[list[Any]]]:
    """(width,) columns of each tensor, by name."""
    found = document.get(key)
    if not isinstance(found, list) or not found:
        raise MalformedError("must be a list that is not empty", key)
    if len(found) > MAX_COLUMNS:
        raise MalformedError(f"{len(found)} tensors, at most {MAX_COLUMNS} are taken", key)
    tensors: dict[str, list[list[Any]]] = {}
    start = values = 0
    for index, tensor in enumerate(found):
        where = f"{key}[{index}]"
        if not isinstance(tensor, dict):
            raise MalformedError("must be an object with `name`, `shape`, `datatype` and `data`", where)
        name, rows, width = _head(tensor, where)
        values += rows * width
        if values > MAX_VALUES:
            raise TooLargeError(f"{values} values, at most {MAX_VALUES} are taken", where)
        if name in tensors:
            raise MalformedError("names must be distinct", f"{where}.name")
        size = _parameters(tensor, where).get("binary_data_size")
        if size is None:
            tensors[name] = _from_json(tensor, rows, width, where)
            continue
        if type(size) is not int or not 0 <= size <= len(binary) - start:
            detail = f"{str(size)[:30]} bytes of binary data, there are {len(binary) - start}"
            raise MalformedError(detail, f"{where}.parameters")
        tensors[name] = _from_binary(tensor, binary[start : start + size], rows, width, where)
        start += size
    if start != len(binary):
        raise MalformedError(f"{len(binary) - start} bytes behind the tensors belong to none", key)
    return tensors


# -- one tensor ---------------------------------------------------------------------------------------------


def _from_json(tensor: Mapping[str, Any], rows: int, width: int, where: str) -> list[list[Any]]:
    data, shape = tensor.get("data"), tensor["shape"]
    if isinstance(data, str):  # a single text, whose characters the shape may count
        data, rows, width = [data], 1, 1
    if not isinstance(data, list):
        raise MalformedError("must be a list", f"{where}.data")
    if data and isinstance(data[0], list):
        data = _flatten(data, shape, where)
    if len(data) != rows * width:
        raise MalformedError(f"{len(data)} values, the shape {shape} has {rows * width}", f"{where}.data")
    return _columns(tensor, data, width, where)


def _from_binary(
    tensor: Mapping[str, Any], data: bytes, rows: int, width: int, where: str
) -> list[list[Any]]:
    values = _unpack(data, tensor.get("datatype"), rows * width, where)
    return _columns(tensor, values, width, where)


def _columns(tensor: Mapping[str, Any], values: list[Any], width: int, where: str) -> list[list[Any]]:
    content_type = _parameters(tensor, where).get("content_type")
    if content_type == "base64":
        values = [_from_base64(value) for value in values]
    elif content_type == "pd_json":
        values = [_from_json_text(value, where) for value in values]
    # Values of `np`, `pd`, `str` and `datetime` are in JSON as they are.
    return [values] if width == 1 else [values[place::width] for place in range(width)]


def _head(tensor: Mapping[str, Any], where: str) -> tuple[str, int, int]:
    """Name, rows and values a row of a tensor, before any memory is taken for its values."""
    name, shape = tensor.get("name"), tensor.get("shape")
    if not isinstance(name, str):
        raise MalformedError("must be a text", f"{where}.name")
    if not isinstance(shape, list) or len(shape) > 32:
        raise MalformedError("must be a list of dimensions", f"{where}.shape")
    if not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise MalformedError("dimensions are whole numbers from 0 to 2147483647", f"{where}.shape")
    rows, width = (shape[0], prod(shape[1:])) if shape else (1, 1)
    if rows == 0 or width == 0:
        raise MalformedError(f"no values in the shape {shape}", f"{where}.shape")
    if width > MAX_COLUMNS:
        raise MalformedError(f"{width} values a row, at most {MAX_COLUMNS} are taken", f"{where}.shape")
    return name, rows, width


def _parameters(tensor: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    found = tensor.get("parameters")
    if not isinstance(found, dict | None):
        raise MalformedError("must be an object", f"{where}.parameters")
    return found or {}


def _flatten(data: list[Any], shape: Sequence[int], where: str) -> list[Any]:
    """Values of nested data in row-major order.

    Raises:
        MalformedError: lists are not as long as the shape says, or not as deep.
    """
    level = [data]
    for size in shape:
        if not all(type(each) is list and len(each) == size for each in level):
            raise MalformedError(f"nested otherwise than the shape {shape}", f"{where}.data")
        level = list(chain.from_iterable(level))
    return level


# -- values -------------------------------------------------------------------------------------------------


def _unpack(data: bytes, datatype: object, count: int, where: str) -> list[Any]:
    if datatype == "BYTES":
        return _unpack_texts(data, count, where)
    code, size = _ARRAYS.get(str(datatype), ("", {"BOOL": 1, "FP16": 2, "BF16": 2}.get(str(datatype), 0)))
    if not size:
        raise MalformedError(f"unknown datatype {str(datatype)[:30]!r}", f"{where}.datatype")
    if len(data) != count * size:
        raise MalformedError(f"{len(data)} bytes, {count} values of {datatype} take {count * size}", where)
    if datatype == "BOOL":
        return [byte != 0 for byte in data]
    if datatype == "FP16":
        return [value for (value,) in iter_unpack("<e", data)]
    if datatype == "BF16":  # the upper half of a FP32
        wide = bytearray(2 * len(data))
        wide[2::4], wide[3::4] = data[::2], data[1::2]
        data, code = bytes(wide), "f"
    values = array(code, data)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


def _unpack_texts(data: bytes, count: int, where: str) -> list[Any]:
    if count * _LENGTH_BYTES > len(data):
        raise MalformedError(f"{len(data)} bytes are too few for {count} values of BYTES", where)
    values, place = [], 0
    for _ in range(count):
        if place + _LENGTH_BYTES > len(data):
            raise MalformedError("truncated within a length of BYTES", where)
        (length,) = unpack_from("<I", data, place)
        place += _LENGTH_BYTES
        if length > len(data) - place:
            raise MalformedError(f"a value of {length} bytes, there are {len(data) - place}", where)
        values.append(_text(data[place : place + length]))
        place += length
    if place != len(data):
        raise MalformedError(f"{len(data) - place} bytes behind {count} values of BYTES", where)
    return values


def _text(value: bytes) -> str:
    """UTF-8 text, or base64 of bytes that are none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return b64encode(value).decode()


def _from_base64(value: object) -> object:
    """The text that base64 stands for; what is no base64, or stands for other bytes, as it is."""
    if not isinstance(value, str):
        return value
    try:
        return b64decode(value, validate=True).decode()
    except ValueError:
        return value


def _from_json_text(value: object, where: str) -> object:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        raise MalformedError("`pd_json` has values that are not JSON", f"{where}.data") from None
