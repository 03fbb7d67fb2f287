"""Weights, settings and memory in one safetensors file: never pickle, and the settings travel with the weights.

The same weights, settings and words give the same bytes, and a file is there whole or not at all. Knows tensors by
name, frozen settings and locks. Knows nothing of the modules they belong to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from agentmem.errors import AgentMemError, InvalidInputError, LockedError, NoFileError, PathError, SettingsError
from agentmem.neural.memory import Memory
from agentmem.neural.settings import CLUSTER, UNIT, CrystalSettings
from agentmem.neural.shapes import STATES, article, check, check_finite
from agentmem.neural.values import Crystals
from agentmem.records import check_path
from agentmem.store.files import NO_SPACE, FileLock, translate_os
from agentmem.store.whole import replaced

Module = TypeVar("Module", bound=nn.Module)
DIGEST = "sha256"  # in the header: of the rest of it and of the tensors
ENTRIES = {"kind", "settings", "command", "notes"}  # of a header, beside it
HEADER = "agentmem"  # one entry of metadata, since the order of several is not fixed
MEMORY = "memory."
OPEN = ("slots", "importance", "at")
WHOLE = {"atoms": (torch.uint8,), "recent": (torch.int8,), "at": (torch.int64,)}  # of what is kept as whole numbers
WEIGHTS = {torch.empty, torch.rand, torch.randn}
TABLES = {torch.zeros, torch.ones, torch.full, torch.arange, torch.eye}
MOST = 1 << 26  # numbers that a module may make beside its weights, such as tables
BROKEN = (AttributeError, KeyError, TypeError, ValueError, RuntimeError)  # what is raised for what is not as expected


@dataclass(frozen=True)
class Saved:
    """What the file at `path` held. command: what made it. notes: what else was said of it, as JSON has it."""

    path: Path
    settings: dict[str, Any]
    command: str
    tensors: dict[str, Tensor]
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> dict[str, Tensor]:
        return {name: each for name, each in self.tensors.items() if not name.startswith(MEMORY)}

    def built(self, make: Callable[[dict[str, Any]], Module], most: int = MOST) -> Module:
        """The module that is made of the settings, with the weights. Raises InvalidInputError for those that make none,
        and for weights that are not its own. most: numbers that it may make beside its weights.
        """
        try:
            with _Bounded(most + 4 * sum(each.numel() for each in self.weights.values())):
                module = make(self.settings)
            module.load_state_dict(self.weights)
        except BROKEN as error:
            raise InvalidInputError(f"{self.path} is not whole ({error}): load another, or train it again") from error
        return module

    def memory(self, settings: CrystalSettings) -> Memory | None:
        """The memory that was saved along, if there was one. Raises InvalidInputError for one that is not whole."""
        kept = {name.removeprefix(MEMORY): each for name, each in self.tensors.items() if name.startswith(MEMORY)}
        try:
            return memory_of(settings, kept) if kept else None
        except BROKEN as error:
            raise InvalidInputError(f"{self.path} has a memory that is not whole ({error}): load another") from error


class _Bounded(TorchFunctionMode):
    """Weights are made up to so many numbers in all, and no tensor has more: settings may name any size, and the
    weights say what it should be.
    """

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.numbers = numbers

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in WEIGHTS | TABLES:
            size = args[0] if args and isinstance(args[0], Sequence) else args
            asked = prod(each for each in size if isinstance(each, int))
            if asked > self.numbers:
                raise ValueError(f"its settings ask for a tensor of {tuple(size)}, and its weights are far fewer")
            self.numbers -= asked if func in WEIGHTS else 0
        return func(*args, **(kwargs or {}))


def save(
    path: str | Path,
    kind: str,
    settings: Any,
    weights: Mapping[str, Tensor],
    memory: Memory | None,
    command: str = "",
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write a file of `kind`. settings: a frozen dataclass. command: what made the weights. notes: as JSON has them."""
    tensors = {**weights, **({MEMORY + name: each for name, each in tensors_of(memory).items()} if memory else {})}
    header = {"kind": kind, "settings": asdict(settings), "command": command, "notes": dict(notes or {})}
    whole = torch.contiguous_format  # and copies, for tied weights share storage, which the format does not know
    plain = {name: each.detach().cpu().clone(memory_format=whole) for name, each in tensors.items()}
    header = json.loads(json.dumps(header))  # as it will be read
    header[DIGEST] = digest(header, plain)
    write(path, to_bytes(plain, {HEADER: json.dumps(header, sort_keys=True)}))


def fingerprint(tensors: Mapping[str, Tensor], before: str = "") -> str:
    """The same for the same tensors alone, after the same text."""
    hashed = sha256(before.encode())
    for name, each in sorted(tensors.items()):
        hashed.update(f"{name} {each.dtype} {list(each.shape)}".encode())
        hashed.update(each.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return hashed.hexdigest()


def digest(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Of a header less its own DIGEST, as JSON has it, and tensors."""
    return fingerprint(tensors, json.dumps({**header, DIGEST: ""}, sort_keys=True))


def write(path: str | Path, content: bytes) -> None:
    """Put content in the place of a file at once: whoever reads it meanwhile, or a kill, finds the old or the new.

    Raises FullError for a full disk, PathError for what else stops it, InvalidInputError for what is no path.
    """
    check_path("the file", path)
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):  # Path's raise what they may not see
        raise PathError(f"{path} is a device or a pipe, which this would replace; give the path of a file")
    try:
        with replaced(path) as out:
            out.write(content)
    except OSError as error:
        raise _unwritten(Path(path), error) from error


def _unwritten(path: Path, error: OSError) -> AgentMemError:
    if error.errno in NO_SPACE:
        return translate_os(error, str(path))
    if os.path.isdir(path):
        return PathError(f"{path} is a folder; give the path of a file in it")
    if isinstance(error, FileNotFoundError) and not os.path.exists(path.parent):
        return PathError(f"the folder of {path} does not exist; create it first")
    return PathError(f"{path} cannot be written ({error.strerror}); give another path, or mend what is there")


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold the lock of a training, a file in its folder, until the end or a kill.

    Raises SettingsError while another holds it.
    """
    with closing(FileLock(str(lock), seconds=0)) as file, ExitStack() as stack:
        try:
            stack.enter_context(file)
        except LockedError as error:
            raise SettingsError(
                f"{lock.parent} is in use by another training, which holds {lock.name}: wait for it, or name another "
                "folder"
            ) from error
        yield


def without_digest(path: Path) -> bytes:
    """What a file that `load` takes would be without its digest: the same, whether the version that saved it gave one.

    Of a file that has none these are its own bytes.
    """
    header, tensors = _parts(path)
    if header.pop(DIGEST, None) is None:
        return path.read_bytes()
    return to_bytes(tensors, {HEADER: json.dumps(header, sort_keys=True)})


def kind_of(path: str | Path) -> str:
    """What a file holds, as `load` takes it; "" where that is not said. Raises InvalidInputError for no safetensors,
    NoFileError for no file, PathError for one that cannot be read.
    """
    path = _readable(path)
    try:
        with safe_open(path, "pt") as file:
            return str(json.loads((file.metadata() or {}).get(HEADER, "{}")).get("kind", ""))
    except (SafetensorError, OSError, *BROKEN) as error:
        raise InvalidInputError(f"{path} is no safetensors file that can be read ({error!r}); name another") from error


def load(path: str | Path, kind: str) -> Saved:
    """Read a file of `kind`. Raises InvalidInputError for one of another kind, one that is not whole or was changed,
    and weights that are no finite numbers; NoFileError for none, PathError for a folder and one that may not be read.
    """
    saved = _read(path, kind)
    unknown = [name for name, each in saved.weights.items() if each.is_floating_point() and not each.isfinite().all()]
    if unknown:
        raise InvalidInputError(
            f"{path} has weights that are no finite numbers, in {', '.join(unknown[:3])}: load another or train it anew"
        )
    return saved


def shortened(reason: object, most: int = 160) -> str:
    """What an error says, in a line of so many characters at most: torch names every weight that is not as expected."""
    line = " ".join(str(reason).split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def _readable(path: str | Path) -> Path:
    """The path of a file that is there and may be read: safetensors names no file, and takes the one for the other."""
    path = check_path("the file", path)
    try:
        path.open("rb").close()
    except FileNotFoundError as error:
        raise NoFileError(f"there is no file {path}; check the path") from error
    except IsADirectoryError as error:
        raise PathError(f"{path} is a folder; give the path of a file in it") from error
    except OSError as error:
        raise PathError(f"{path} cannot be read ({error.strerror}); give a file that can be read") from error
    return path


def _read(path: str | Path, kind: str) -> Saved:
    path = _readable(path)
    try:
        header, tensors = _parts(path)
        there = header.get("kind", "weights of unknown kind")
        if there == kind and _is_as_saved(header, tensors):
            return Saved(path, _frozen(header["settings"]), header["command"], tensors, header["notes"])
    except (SafetensorError, OSError, *BROKEN) as error:
        raise InvalidInputError(
            f"{path} is no safetensors file of {article(kind)} that can be read ({error!r}); name another"
        ) from error
    if there == kind:
        raise InvalidInputError(
            f"{path} was changed after it was saved (its digest is another): load another copy, or train it again"
        )
    raise InvalidInputError(f"{path} holds {there}; {article(kind)} is needed")


def _parts(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors."""
    with safe_open(path, "pt") as file:
        header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
        return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict


def _is_as_saved(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bool:
    """Files of earlier versions have no digest to tell it by; what has an entry that they have not either lost its."""
    return header[DIGEST] == digest(header, tensors) if DIGEST in header else header.keys() <= ENTRIES


def _frozen(settings: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where settings have tuples; settings may be within settings."""
    return {
        name: tuple(value) if isinstance(value, list) else _frozen(value) if isinstance(value, dict) else value
        for name, value in settings.items()
    }


def tensors_of(memory: Memory) -> dict[str, Tensor]:
    """A memory as tensors by name."""
    named = {"hidden": memory.hidden, "atoms": memory.atoms}
    for layer, (open, recent) in enumerate(zip(memory.open, memory.recent, strict=True)):
        named |= {f"open.{layer}.{name}": getattr(open, name) for name in OPEN}
        named[f"recent.{layer}"] = recent
    counts = [memory.position, *memory.made, *(each.first for each in memory.open)]
    return {**named, "counts": torch.tensor(counts)}


def memory_of(settings: CrystalSettings, kept: dict[str, Tensor]) -> Memory:
    """The memory that `tensors_of` took apart. Raises InvalidInputError for other sizes or types, and numbers that are
    none.
    """
    position, units, clusters, atoms, first_unit, first_cluster = kept["counts"].tolist()
    for name, sizes in _sizes(settings).items():
        types = next((each for part, each in WHOLE.items() if part in name.split(".")), STATES)
        check(name, kept[name], len(kept["atoms"]), *kept[name].shape[1:2], *sizes, types=types)
        check_finite(name, kept[name])
    open = _crystals(kept, UNIT, first_unit), _crystals(kept, CLUSTER, first_cluster)
    recent = kept["recent.0"], kept["recent.1"]
    return Memory(settings, position, kept["hidden"], open, recent, (units, clusters, atoms), kept["atoms"])


def _sizes(settings: CrystalSettings) -> dict[str, tuple[int, ...]]:
    """Of what each stream has any number of, by name."""
    sizes: dict[str, tuple[int, ...]] = {"hidden": (settings.dimension,), "atoms": (settings.atom_bytes,)}
    for layer in (UNIT, CLUSTER):
        slots = settings.slots_of[layer]
        sizes |= dict.fromkeys((f"recent.{layer}", f"open.{layer}.slots"), (slots, settings.slot_bits))
        sizes |= dict.fromkeys((f"open.{layer}.importance", f"open.{layer}.at"), (slots,))
    return sizes


def _crystals(kept: dict[str, Tensor], layer: int, first: int) -> Crystals:
    slots, importance, at = (kept[f"open.{layer}.{name}"] for name in OPEN)
    return Crystals(slots, importance, at, first)
