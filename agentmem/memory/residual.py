"""Looking for what was erased: in the file, in what is made of it, in this process, and in files that are named.

What is looked for: long lines as bytes; words that nothing that is left says, as bytes, from six characters on (a
shorter one stands in random bytes by chance); and of any length, the erased positions in all that points to positions.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from codecs import utf_8_decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from agentmem import remembered
from agentmem.crystallize import Crystallizer
from agentmem.errors import NotFoundError
from agentmem.index import step_id
from agentmem.memory.core import Core
from agentmem.store import MAGIC, first_bytes, open_store
from agentmem.terms import terms_of
from agentmem.types import PASSAGE_BITS, SURFACES, Namespace, Record, Repeat

LONG = 24  # characters of a line that is looked for whole
WORD = 6  # characters of a word that is looked for among bytes
REPEATS = 100  # steps that are named
MOST = 300  # words that are looked for, the longest first
SQLITE, GZIP = b"SQLite format 3", b"\x1f\x8b"
_EDGES = ".,;:!?\"'()[]{}<>"

Found = dict[str, list[str]]


def needles(records: Sequence[Record]) -> list[bytes]:
    """Byte strings by which erased steps would be known again: keys, and longer lines of text and strings of data.

    Of a recall its cue alone: how it was put, such as by which encoder, stands in many other places too.
    """
    return lines_of(_said(records))


def lines_of(texts: Iterable[str]) -> list[bytes]:
    """The beginnings of the longer lines of texts."""
    lines = {line.strip() for text in texts for line in text.splitlines()}
    return [line.encode()[:200] for line in sorted(lines) if len(line) >= LONG]


def repeats(core: Core, going: Sequence[Record]) -> tuple[Repeat, ...]:
    """Steps that stay, of any namespace, and whose whole text is that of a step that goes, however short; or that say a
    longer line of what goes as one of theirs; or within one, as far as the first MOST lines go.

    At most REPEATS of them, in log order; those of the namespaces of what goes before others'. Hold `core.lock`.
    """
    gone = {record.position for record in going}
    wanted, texts = needles(going), {one.text.strip() for one in going} - {""}
    same, within = set(wanted), wanted[:MOST]

    def says(record: Record) -> bool:
        if record.text.strip() in texts:
            return True
        said = _said([record])
        whole = "\n".join(said).encode()
        return any(one in whole for one in within) or not same.isdisjoint(lines_of(said))

    if not (wanted or texts):
        return ()
    own = {record.namespace for record in going}
    spaces = sorted(core.store.namespaces(), key=lambda space: space not in own)
    every = chain.from_iterable(core.store.scan(space, types=["step"]) for space in spaces)
    some = islice((one for one in every if one.position not in gone and says(one)), REPEATS)
    found = sorted(some, key=lambda one: one.position)
    return tuple(Repeat(step=step_id(one.position), episode=one.episode, namespace=one.namespace) for one in found)


def canaries(core: Core, records: Sequence[Record]) -> list[bytes]:
    """The words of erased steps that nothing says that is left, the longest first."""
    words = {piece.strip(_EDGES) for text in _said(records) for piece in re.split(r"[\s,;:=]+", text)}
    left = sorted((word for word in words if len(word) >= WORD), key=lambda word: (-len(word), word))
    for text in _standing(core):
        left = [word for word in left if word not in text]
    return [word.encode()[:200] for word in left[:MOST]]


def _said(records: Sequence[Record]) -> list[str]:
    told = [value for record in records if record.type != "recall" for value in _strings(json.loads(record.body))]
    return [*told, *(text for record in records for text in (record.text, record.key) if text)]


def _strings(value: Any) -> Iterator[str]:
    """The strings in JSON values, and the numbers as they are written."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(inner)
    elif value is not None and not isinstance(value, bool):
        yield json.dumps(value)


def _standing(core: Core) -> Iterator[str]:
    """What the memory still says, by rights: its log, its names, and what has nothing to do with anybody."""
    yield Crystallizer((), core.store.read, {}, b"", None, core.sparing).state().decode()
    for namespace in core.store.namespaces():
        yield " ".join((*namespace, *core.store.attachments(namespace)))
    chunk, size = list[str](), 0
    for one in core.store.scan():
        chunk += [one.text, one.body, *(name for name in (one.key, one.episode, one.actor) if name)]
        size += len(one.text) + len(one.body)
        if size > 1 << 20:
            yield "\n".join(chunk)
            chunk, size = [], 0
    yield "\n".join(chunk)


def scan(core: Core, erased: Sequence[Record], touched: Sequence[Namespace], files: Sequence[Path]) -> Found:
    """Surface -> where something of erased records still stands, in words. Hold `core.lock`.

    touched: namespaces that held or showed it. files: exports, graphs, replays and backups to look into.
    """
    gone = np.unique([record.position for record in erased]).astype(np.int64)
    lines, words = needles(erased), canaries(core, erased)
    found = {**{surface: [] for surface in SURFACES}, **core.store.traces(lines, words)}
    found["caches"] += _cached(core, touched, gone, [*lines, *words])
    for namespace in touched:
        for surface, places in _pointing(core, namespace, erased, gone).items():
            found[surface] += places
        state = core.store.watermark(namespace).state
        if state and any(one in zlib.decompress(state) for one in (*lines, *words)):
            found["crystals"].append(f"what crystallizing namespace {namespace} goes on from")
    remembered.forget()  # looking for the erased words has put them there again
    for file in files:
        surface, places = in_file(file, lines, words)
        found[surface] += places
    return found


def _pointing(core: Core, namespace: Namespace, erased: Sequence[Record], gone: np.ndarray) -> Found:
    """What is made of a namespace, or indexed, and points to erased positions."""
    found: Found = {"indices": [], "crystals": [], "codes": []}
    stems = sorted({stem for one in erased for passage in terms_of(one) for stem in passage.split()})
    for stem, rows in core.store.postings(namespace, stems).items():
        if np.isin(rows >> PASSAGE_BITS, gone).any():
            found["indices"].append(f"the index of namespace {namespace}, under {stem}")
    for _, crystal in core.store.crystals(namespace):
        if np.isin([span.position for span in crystal.spans], gone).any():
            found["crystals"].append(f"crystal {crystal.id}")
    if np.isin([state.position for _, state in core.store.states(namespace)], gone).any():
        found["crystals"].append(f"the states of namespace {namespace}")
    for encoder in core.store.encoders(namespace):
        for _, codes in core.store.codes(namespace, encoder):
            if np.isin([codes.first, codes.last], gone).any():
                found["codes"].append(f"the codes of crystal {codes.crystal}")
    return found


def _cached(core: Core, touched: Sequence[Namespace], gone: np.ndarray, wanted: Sequence[bytes]) -> list[str]:
    """What this process still keeps. Others drop what they keep as soon as they see the generation."""
    places = [
        f"the index of namespace {namespace} in this process"
        for namespace in touched
        if np.isin(core.held(namespace).positions(), gone).any()
    ]
    if np.isin(core.kept(), gone).any():
        places.append("the records that this process keeps")
    remembers = "\n".join(remembered.texts())  # at once: there may be thousands of needles
    if any(one.decode(errors="replace") in remembers for one in wanted):
        places.append("what this process remembers of texts")
    return places


def check_there(files: Sequence[Path]) -> None:
    """NotFoundError for a file that is not there to look into."""
    for path in files:
        if not path.is_file():
            raise NotFoundError(f"there is no file {path} to look for erased text in; leave it out, or give its path")


def _begins_as_text(path: Path) -> bool:
    """What is encrypted is no UTF-8 for so long."""
    with path.open("rb") as file:
        try:
            utf_8_decode(file.read(4_096))  # a letter may be cut at the end
        except UnicodeDecodeError:
            return False
    return True


def in_file(path: Path, lines: Sequence[bytes], words: Sequence[bytes]) -> tuple[str, list[str]]:
    """The surface that a file is, and where in it something stands."""
    start = first_bytes(str(path))
    if start.startswith(SQLITE):
        with open_store(str(path), read_only=True) as store:
            return "backups", [place for places in store.traces(lines, words).values() for place in places]
    if start.startswith(MAGIC) and not _begins_as_text(path):
        return "backups", [f"{path} is encrypted, so it was not looked into"]
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if start.startswith(GZIP) else data
    except (OSError, EOFError, zlib.error):
        return "exports", [f"{path} cannot be unpacked, so it was not looked into"]
    forms = (
        form for one in (*lines, *words) for form in (one, json.dumps(one.decode(errors="replace"))[1:-1].encode())
    )
    at = next((at for form in forms if (at := data.find(form)) >= 0), None)
    return "exports", [] if at is None else [f"{path} at byte {at}"]
