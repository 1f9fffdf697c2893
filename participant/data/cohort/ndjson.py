"""A folder of JSON objects, one a line, as FHIR servers export them in bulk: `*.ndjson`, also compressed (`.gz`)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

from participant.data.model.errors import SourceError
from participant.data.sources.compressed import opened

MAX_LINE_BYTES = 16 << 20
_SUFFIXES = (".ndjson", ".ndjson.gz")


class Line(NamedTuple):
    """A line of a file.

    Attributes:
        file, number: position of the file in the folder, and number of the line, from 1.
        place: the same in words, for errors.
        content: the JSON object.
        data: the bytes that it was read from.
    """

    file: int
    number: int
    place: str
    content: dict[str, Any]
    data: bytes


def files_of(folder: Path) -> list[Path]:
    """Return the files of a folder, by name.

    Raises:
        SourceError: there is no such folder, or it has none.
    """
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder.name}")
    files = sorted(one for one in folder.iterdir() if one.name.lower().endswith(_SUFFIXES))
    if not files:
        raise SourceError(f"{folder.name} has no file that ends in {' or '.join(_SUFFIXES)}")
    return files


def lines_of(files: list[Path]) -> Iterator[Line]:
    """Yield the lines of all files, without empty ones.

    Raises:
        SourceError: a file is damaged, or a line is too long, is not UTF-8 or is not a JSON object.
    """
    for position, path in enumerate(files):
        with opened(path) as (file, _):
            for number, data in enumerate(_bounded(file, path), 1):
                if data.strip():
                    place = f"{path.name}, line {number}"
                    yield Line(position, number, place, _object(data, place), data)


def _bounded(file: IO[bytes], path: Path) -> Iterator[bytes]:
    number = 0
    while data := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(data) > MAX_LINE_BYTES:
            raise SourceError(f"{path.name}, line {number} has more than {MAX_LINE_BYTES >> 20} MiB")
        yield data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data


def _object(data: bytes, place: str) -> dict[str, Any]:
    try:
        content = json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise SourceError(f"{place} is not text in UTF-8: byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise SourceError(f"{place}, column {error.colno} is not JSON: {error.msg}") from None
    except (ValueError, RecursionError):
        raise SourceError(f"{place} is not JSON: NaN, infinity, a huge number, or too deeply nested") from None
    if not isinstance(content, dict):
        raise SourceError(f"{place} is not a JSON object; each line must be one resource")
    return content


def _no_number(_: str) -> NoReturn:
    raise ValueError
