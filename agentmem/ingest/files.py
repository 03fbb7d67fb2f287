"""Which files are meant: paths, patterns and folders, each file with the name that its episodes get.

A file in a folder is called by its path from there on, with the folder's own name; a file that is given by a relative
path, by that path. Hidden files are passed over, and folders that tools fill, links to folders, and links that lead out
of the folder, or of that from which a pattern was looked for. Knows no format, but that a Minari dataset is a folder.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path, PurePath
from typing import NamedTuple

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.ingest.minari import is_dataset
from agentmem.ingest.report import OUTSIDE, Passed
from agentmem.records import check_path

FILLED = ("__pycache__", "node_modules")


class Given(NamedTuple):
    """A file, its name, whether it was found in a folder, and how many bytes it has."""

    path: Path
    name: str
    found: bool
    size: int


def files_of(paths: str | Path | Sequence[str | Path], but: str) -> tuple[list[Given], list[Passed]]:
    """(files in order, each once; what is passed over). but: the start of paths that are not meant.

    Raises NotFoundError where one of the paths is not there.
    """
    files: dict[Path, Given] = {}
    passed: list[Passed] = []
    for path in [paths] if isinstance(paths, str | Path) or not isinstance(paths, Sequence) else paths:
        for one in _matching(check_path("path", path), passed):
            for given in _given(one, passed):
                if not str(given.path.absolute()).startswith(but or "\0"):
                    files.setdefault(given.path.absolute(), given)
    _check_names(list(files.values()))
    return list(files.values()), passed


def _matching(path: Path, passed: list[Passed]) -> list[Path]:
    """A path, or what a pattern stands for."""
    if path.exists():
        return [path]
    if not glob.has_magic(str(path)):
        raise NotFoundError(f"there is no file {path}; check the path")
    found = sorted(glob.glob(str(path), recursive=True))
    if not found:
        raise NotFoundError(f"no file matches {path}; check the pattern")
    folder = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
    return [one for one in map(Path, found) if _within(one, folder, passed)]


def _within(path: Path, folder: Path, passed: list[Passed]) -> bool:
    """Whether what is found from a folder on is in it; a link that leads out of it, or nowhere, is passed over."""
    inside = Path(os.path.realpath(path)).is_relative_to(folder.resolve())  # also of a link that leads to itself
    if inside and path.exists():
        return True
    passed.append(Passed(str(path), "it is a link that leads nowhere" if inside else OUTSIDE))
    return False


def _given(path: Path, passed: list[Passed]) -> Iterator[Given]:
    if not path.is_dir():
        yield Given(path, _name(path, path), False, path.stat().st_size)
    elif path.resolve() == path.resolve().parent:
        raise InvalidInputError(f"cannot read {path}: Is a directory with all that is on this machine; give a folder")
    else:
        found = [_sized(file, path) for file in _walk(path, path, passed)]
        if not found:
            passed.append(Passed(str(path), "it holds no file to read"))
        yield from found


def _walk(folder: Path, root: Path, passed: list[Passed]) -> Iterator[Path]:
    """The files and datasets in a folder, sorted, that are in the root."""
    if is_dataset(folder):
        yield folder
        return
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.startswith(".") or path.name in FILLED:
            passed.append(Passed(str(path), "it is hidden, or a tool's"))
        elif path.is_symlink() and not _within(path, root, passed):
            continue
        elif path.is_dir() and path.is_symlink():
            passed.append(Passed(str(path), "it is a link to a folder"))
        elif path.is_dir():
            yield from _walk(path, root, passed)
        elif path.is_file():
            yield path


def _sized(path: Path, root: Path) -> Given:
    size = sum(one.stat().st_size for one in path.rglob("*") if one.is_file()) if path.is_dir() else path.stat().st_size
    return Given(path, _name(path, root), True, size)


def _name(path: Path, root: Path) -> str:
    """`docs/guide.md` for that file, and for it in the folder `docs`, or in `/home/ann/docs`."""
    base = root.resolve() if root.name in ("", "..") and root != Path() else root
    inner = path.relative_to(root)
    if base.is_absolute():
        named = PurePath(base.name, inner)
    else:
        named = PurePath(*(part for part in PurePath(base, inner).parts if part != ".."))
    return named.as_posix()


def _check_names(files: Sequence[Given]) -> None:
    names: dict[str, Path] = {}
    for given in files:
        other = names.setdefault(given.name, given.path)
        if other != given.path:
            both = f"{other} and {given.path}"
            raise InvalidInputError(f"{both} would both be called {given.name!r}; give the folder that holds both")


def listed(paths: Sequence[Path], most: int = 3) -> str:
    """a, b, c and 5 more"""
    names = [os.fspath(path) for path in paths[:most]]
    return ", ".join(names) + (f" and {len(paths) - most} more" if len(paths) > most else "")
