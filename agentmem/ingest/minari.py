"""Minari datasets: a dataset's folder, or its `main_data.hdf5`, as Gymnasium's offline episodes are published.

The one place that reads HDF5, with h5py, or a folder of Arrow files with minari; both come with the extra `envs`. Each
episode is one here, `{dataset}/{number}`: its first observation, then every action with the observation that answers
it. A packed image is a row of bytes, and is told as one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agentmem.errors import InvalidInputError, MissingExtraError
from agentmem.ingest.report import Found
from agentmem.ingest.source import Source
from agentmem.ingest.transitions import transition

MAIN = Path("data") / "main_data.hdf5"
ABOUT = Path("data") / "metadata.json"
INSTALL = "this Minari dataset is read with {name}: pip install 'agentmem-crystal[envs]'"


def is_dataset(folder: Path) -> bool:
    """Whether a folder is a dataset of Minari."""
    return (folder / MAIN).is_file() or (folder / ABOUT).is_file()


def read_minari(source: Source) -> Iterator[Found]:
    about = _about(source.path)
    name = str(about.get("dataset_id") or source.name)
    episodes = _arrow(source.path) if about.get("data_format") == "arrow" else _hdf5(source.path)
    for number, episode in episodes:
        source.last = number + 1
        yield from _steps(number + 1, f"{name}/{number}", episode)
        yield Found(number + 1, f"{name}/{number}", None)


def _about(path: Path) -> dict[str, Any]:
    """What a dataset says of itself."""
    file = path / ABOUT if path.is_dir() else path.parent / ABOUT.name
    try:
        about = json.loads(file.read_text()) if file.is_file() else {}
    except ValueError as error:
        raise InvalidInputError(f"{file} is not whole JSON ({error}); get a whole copy of the dataset") from error
    return about if isinstance(about, dict) else {}


def _steps(number: int, name: str, episode: Mapping[str, Any]) -> Iterator[Found]:
    """An episode's columns as transitions: one more observation than actions."""
    observations, infos = episode["observations"], episode.get("infos") or {}
    yield from transition(number, name, 0, {"observation": _row(observations, 0), "info": _row(infos, 0)})
    for place in range(len(episode["rewards"])):
        line = {
            "action": _row(episode["actions"], place),
            "observation": _row(observations, place + 1),
            "reward": float(episode["rewards"][place]),
            "terminated": bool(episode["terminations"][place]),
            "truncated": bool(episode["truncations"][place]),
            "info": _row(infos, place + 1),
        }
        yield from transition(number, name, place + 1, line)


def _row(column: Any, place: int) -> Any:
    """The value at a place of a column, which may be columns by name, or a tuple of them."""
    if isinstance(column, Mapping):
        found = {name: _row(inner, place) for name, inner in column.items()}
        if found and all(str(name).startswith("_index_") for name in found):
            return [found[f"_index_{number}"] for number in range(len(found))]
        return {name: inner for name, inner in found.items() if inner is not None}
    if isinstance(column, tuple):
        return [_row(inner, place) for inner in column]
    return column[place] if hasattr(column, "__len__") and place < len(column) else None


def _hdf5(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        import h5py  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise MissingExtraError(INSTALL.format(name="h5py")) from error
    file = path / MAIN if path.is_dir() else path
    try:
        with h5py.File(file, "r") as data:
            names = [name for name in data if name.startswith("episode_")]
            for name in sorted(names, key=lambda name: int(name.removeprefix("episode_"))):
                yield int(name.removeprefix("episode_")), _columns(data[name], h5py.Group)
    except (OSError, KeyError, ValueError) as error:
        raise InvalidInputError(f"{file} is no whole dataset of Minari ({error}); get a whole copy of it") from error


def _columns(group: Any, kind: type) -> Any:
    """A group of HDF5 as columns by name."""
    if isinstance(group, kind):
        return {name: _columns(inner, kind) for name, inner in group.items()}  # type: ignore[attr-defined]
    return group[()]


def _arrow(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        import minari  # type: ignore[import-not-found, import-untyped, unused-ignore]

        dataset = minari.MinariDataset(path / "data")
    except ImportError as error:  # minari itself imports pyarrow late
        raise MissingExtraError(INSTALL.format(name="minari and pyarrow")) from error
    except (ValueError, OSError) as error:
        raise InvalidInputError(f"{path} is no whole dataset of Minari ({error}); get a whole copy of it") from error
    for episode in dataset.iterate_episodes():
        yield int(episode.id), vars(episode)
