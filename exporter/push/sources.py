"""Finds the files to send: paths, directories and patterns, on this machine or in an object store."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import quote

import pyarrow as pa
import pyarrow.fs as pa_fs

from exporter.errors import ConfigError
from exporter.formats.texts import first_line, redact

FileFormat = Literal["parquet", "csv", "jsonl"]
FORMATS: dict[str, FileFormat] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}  # of CSV and JSON lines
_PATTERN = "*?["


@dataclass(frozen=True)
class Source:
    """A file. `name` is shown, and is part of the identity of its batches: a full path or URI."""

    name: str
    filesystem: pa_fs.FileSystem
    path: str
    format: FileFormat
    size_bytes: int


def find_sources(names: Sequence[str], file_format: FileFormat | None = None) -> list[Source]:
    """Files that the names stand for, in their order, each once; directories and patterns sorted by path.

    Args:
        names: paths or URIs of files, of directories (with all below them) or patterns, `day=*/*.parquet`.
        file_format: of files whose name does not tell.

    Raises:
        ConfigError: a name stands for no file, or a file's format is unknown.
    """
    found = {source.name: source for name in names for source in _find(name, file_format)}
    return list(found.values())


def _find(name: str, file_format: FileFormat | None) -> Iterator[Source]:
    try:
        filesystem, path, scheme = _open(name)
        is_pattern = any(sign in path for sign in _PATTERN)
        found = _matching(filesystem, path) if is_pattern else _below(filesystem, path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ConfigError(f"{redact(name)} cannot be read: {first_line(error)}") from None
    is_file = [info.path for info in found] == [path]
    chosen = [info for info in found if is_file or file_format or format_of(info.path)]
    if not chosen:
        raise ConfigError(f"{redact(name)}: there are no files that end in {', '.join(FORMATS)}")
    for info in chosen:
        kind = file_format or format_of(info.path)
        if kind is None:
            raise ConfigError(f"{redact(name)} does not end in {', '.join(FORMATS)}: name its --format")
        yield Source(f"{scheme}{info.path}", filesystem, info.path, kind, info.size or 0)


def _open(name: str) -> tuple[pa_fs.FileSystem, str, str]:
    """File system of a name, the path in it, and the scheme of a URI."""
    scheme, separator, rest = name.partition("://")
    if not separator or scheme == "file":
        return pa_fs.LocalFileSystem(), Path(rest or name).absolute().as_posix(), ""
    address, _, options = rest.partition("?")
    # Signs of a pattern are none of a URI's.
    uri = f"{scheme}://{quote(address, safe='/:@%+=,~!$&()')}"
    filesystem, path = pa_fs.FileSystem.from_uri(f"{uri}?{options}" if options else uri)
    return filesystem, path, f"{scheme}://"


def _below(filesystem: pa_fs.FileSystem, path: str) -> list[pa_fs.FileInfo]:
    info = filesystem.get_file_info(path)
    if info.type == pa_fs.FileType.NotFound:
        raise FileNotFoundError("it does not exist")
    return [info] if info.type == pa_fs.FileType.File else _files(filesystem, path)


def _matching(filesystem: pa_fs.FileSystem, pattern: str) -> list[pa_fs.FileInfo]:
    """Files of a pattern, whose `*` does not match a slash."""
    parts = PurePosixPath(pattern).parts
    first = next(place for place, part in enumerate(parts) if set(_PATTERN) & set(part))
    found = []
    for info in _files(filesystem, str(PurePosixPath(*parts[:first]))):
        names = PurePosixPath(info.path).parts
        if len(names) == len(parts) and all(map(fnmatch.fnmatchcase, names, parts)):
            found.append(info)
    return found


def _files(filesystem: pa_fs.FileSystem, base: str) -> list[pa_fs.FileInfo]:
    """Files below a directory, without those that Spark and others write beside the data."""
    selector = pa_fs.FileSelector(base, recursive=True, allow_not_found=True)
    depth = len(PurePosixPath(base).parts)

    def is_data(info: pa_fs.FileInfo) -> bool:
        own = PurePosixPath(info.path).parts[depth:]
        return info.type == pa_fs.FileType.File and not any(part[0] in "._" for part in own)

    return sorted(filter(is_data, filesystem.get_file_info(selector)), key=lambda info: str(info.path))


def codec_of(path: str) -> str:
    """Compression of a file by its name, empty for none."""
    return CODECS.get(PurePosixPath(path.lower()).suffix, "")


def format_of(path: str) -> FileFormat | None:
    """Format of a file by its name, None if that does not tell."""
    name = PurePosixPath(path.lower())
    if name.suffix in CODECS:
        inner = FORMATS.get(name.with_suffix("").suffix)
        return inner if inner != "parquet" else None
    return FORMATS.get(name.suffix)
