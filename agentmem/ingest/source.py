"""One file, read: as lines, as JSON lines, as one text or one JSON value; plain or gzipped, always UTF-8.

Knows what a file can be made of and how to say what is wrong with it. Knows no format.
"""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

from agentmem.errors import InvalidInputError, NotFoundError, TooLargeError
from agentmem.ingest.report import Problems

WHOLE = 256 << 20  # bytes of a file that is read whole
LINE = 512 << 20  # bytes of a line: the largest blob, in base64, fits
HEAD = 64 << 10  # bytes by which a file is judged
GZIP, HDF5 = b"\x1f\x8b", b"\x89HDF\r\n\x1a\n"
UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass
class Source:
    """A file to read, and the name that its episodes get.

    tell: called with the bytes read of it so far. grows: it may be written just now. whole: it is one JSON value, not
    lines of them. mends: halves of characters are replaced. last: the last line that was read.
    """

    path: Path
    name: str
    bad: Problems
    tell: Callable[[int], None] = lambda done: None
    grows: bool = False
    whole: bool = False
    mends: bool = True
    last: int = 0

    def head(self) -> bytes:
        """The first bytes, unpacked."""
        with opened(self.path) as file:
            return _read(file, HEAD, self.path)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """(number, line) of each line that is not blank."""
        self.last = 0
        with opened(self.path) as file:
            while line := _line(file, self.path):
                self.last += 1
                if line.strip():
                    yield self.last, line
                self.tell(_told(file))

    def raw_lines(self) -> Iterator[bytes]:
        """The lines that are not blank, for a look at them."""
        with opened(self.path) as file:
            while line := _line(file, self.path):
                if line.strip():
                    yield line.removeprefix(codecs.BOM_UTF8)

    def objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(number, object) of each line that holds a JSON object; the others are bad.

        Where the file grows, a last line that is not whole yet is passed over.
        """
        for number, line in self.lines():
            try:
                value = self._loaded(line)
            except (ValueError, RecursionError) as error:
                if self.grows and not line.endswith(b"\n"):
                    self.bad.passing(f"line {number} is not finished yet; ingest again when it is")
                else:
                    self.bad(number, _why_none(error))
                continue
            if isinstance(value, dict):
                yield number, value
            else:
                self.bad(number, f"it is a {type(value).__name__}, not an object")

    def _loaded(self, line: bytes) -> Any:
        value = json.loads(line)
        return mended(value) if self.mends and b"\\ud" in line.lower() else value

    def text(self) -> str:
        """The whole text, with LF for line ends. InvalidInputError for what is none."""
        with opened(self.path) as file:
            data = _read(file, WHOLE + 1, self.path)
        if len(data) > WHOLE:
            raise TooLargeError(f"{self.path} is read whole and has more than {WHOLE >> 20} MiB; split it")
        text = decoded(data, self.path)
        self.last = text.count("\n") + (not text.endswith("\n"))
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def json(self) -> Any:
        """The file as one JSON value."""
        if self.value is None:
            try:
                json.loads(self.text())
            except RecursionError as error:
                raise InvalidInputError(f"{self.path}: {_why_none(error)}; make it flatter") from error
            except ValueError as error:
                raise InvalidInputError(f"{self.path} is not whole JSON ({error}); get a whole copy of it") from error
        return self.value

    @cached_property
    def value(self) -> Any:
        """The file as one JSON value, None if it is none."""
        try:
            return self._loaded(self.text().encode())
        except (ValueError, RecursionError) as error:
            if isinstance(error, InvalidInputError):
                raise
            return None


def _why_none(error: Exception) -> str:
    """What keeps a text from being read as JSON."""
    if isinstance(error, RecursionError):
        return "it has lists or objects in one another, too deep to be read"
    return f"it is not JSON ({error})"


def mended(value: Any) -> Any:
    """A value without halves of characters, which programs that cut texts in UTF-16 leave behind."""
    if isinstance(value, Mapping):
        return {mended(name): mended(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [mended(inner) for inner in value]
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def decoded(data: bytes, path: Path) -> str:
    """Bytes as text: UTF-8, or UTF-16 that says so. InvalidInputError names the first line that is neither."""
    if data[:2] in UTF16:
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInputError(
            f"{path}, line {line}, is no UTF-8: it has the byte {data[error.start]:#04x}; "
            "convert it, as with iconv -f latin1 -t utf8"
        ) from None


def opened(path: Path) -> BinaryIO:
    """A file for reading, unpacked if it is gzipped."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}; check the path") from None
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}; give a file that can be read") from error
    packed = file.read(2) == GZIP
    file.seek(0)
    return cast(BinaryIO, _Unpacked(file)) if packed else file


class _Unpacked(gzip.GzipFile):
    """A gzipped file that closes what it reads."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__(fileobj=raw)
        self.raw = raw

    def close(self) -> None:
        super().close()
        self.raw.close()


def _told(file: BinaryIO) -> int:
    return file.raw.tell() if isinstance(file, _Unpacked) else file.tell()


def _read(file: BinaryIO, most: int, path: Path) -> bytes:
    try:
        return file.read(most)
    except (EOFError, OSError, zlib.error) as error:
        raise InvalidInputError(f"{path} cannot be read to its end ({error}); get a whole copy of it") from error


def _line(file: BinaryIO, path: Path) -> bytes:
    """The next line; b"" at the end."""
    try:
        line = file.readline(LINE + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise InvalidInputError(f"{path} cannot be read to its end ({error}); get a whole copy of it") from error
    if len(line) > LINE:
        raise TooLargeError(f"{path} has a line of more than {LINE >> 20} MiB; split it")
    return line
