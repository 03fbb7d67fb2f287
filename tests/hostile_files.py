"""Files that mean harm, and what opening them does: run as a process of its own, since an audit hook stays.

    python hostile_files.py plain|tensors FOLDER COUNT SEED

Prints, as JSON, how many files of each kind were refused, and how many were taken as data. Ends with an error where one
ran code, wrote outside of FOLDER, took too much memory, or raised what is no AgentMemError.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import pickle
import random
import resource
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import agentmem
from agentmem import Memory
from agentmem.errors import AgentMemError
from agentmem.ingest import ingest

RUNS = {"exec", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect",
        "socket.bind", "pickle.find_class", "ctypes.dlopen", "code.__new__"}  # fmt: skip
OURS = (
    sys.prefix,
    sys.base_prefix,
    str(Path(agentmem.__file__).parents[1]),
    "<frozen",
)  # where modules are imported from
MIB = 1_200  # of memory that loading any of them may take beyond what was taken before
DEEP = "[" * 100_000 + "]" * 100_000


HERE = Path(tempfile.gettempdir(), f"agentmem-ran-{os.getpid()}")
TOUCH = f"touch {HERE}"


class Boom:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, (TOUCH,)


PICKLE = pickle.dumps(Boom())
VALUES = [
    {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {"command": TOUCH}},
    {"__class__": "os.system", "__module__": "os", "args": [TOUCH]},
    {"py/object": "os.system"}, {"$type": "System.Diagnostics.Process"}, {"__reduce__": "os.system"},
    "../../../../etc/passwd", "file:///etc/passwd", "{{7*7}}", "${jndi:ldap://127.0.0.1/a}",
    "__import__('os').system('id')",
    "\0", "\ud800", "' OR 1=1; DROP TABLE log; --", 10**400, -(2**63) - 1, float("nan"), float("inf"), "x" * 100_000,
    base64.b64encode(PICKLE).decode(), [[[[[[]]]]]], {"": {"": {}}}, None, True,
]  # fmt: skip
FIELDS = ("id", "namespace", "episode", "kind", "text", "actor", "at", "data", "blobs", "reward", "key", "reply_to",
          "subjects", "trust", "type", "logged_at", "hits", "steps", "role", "content", "mapping",
          "messages", "payload")  # fmt: skip


class Watch:
    """While it is armed, what no data may do is noted."""

    def __init__(self, folder: Path) -> None:
        self.armed, self.seen, self.folder = False, list[str](), str(folder)
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        imports = event == "exec" and args[0].co_filename.startswith(OURS)
        if event in RUNS and not imports:
            self.seen.append(f"{event} {args[:1]!r:.80}")
        writes = event == "open" and isinstance(args[0], str) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and not args[0].startswith(self.folder):
            self.seen.append(f"writes {args[0]}")


# ---- a memory's own file


def remembered(path: Path) -> None:
    with Memory.open(path, encoder=None, durability="process") as memory:
        with memory.episode(id="door") as episode:
            episode.log_many([f"The red door {n} is open, key {n * 7} opens it. " * 8 for n in range(40)])
            episode.log("A photo.", blobs={"photo": b"x" * 3000}, key="k", subjects=["ann"], data={"n": 1})
            episode.recall("red door")
        memory.attach("state", b"bytes of a state" * 50)
        memory._core.store.archive(30)


def flipped(path: Path, draw: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(draw.choice((1, 3, 50, 4000))):
        data[draw.randrange(100, len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def cut(path: Path, draw: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: draw.randrange(len(data))] + draw.choice((b"", PICKLE, b"\0" * 5000)))


def programmed(path: Path, draw: random.Random) -> None:
    """With a trigger, a view or a table in the place of its own."""
    said = draw.choice((
        "CREATE TRIGGER eat AFTER INSERT ON log BEGIN DELETE FROM log; END",
        "CREATE TRIGGER run AFTER INSERT ON log BEGIN SELECT load_extension('evil.so'); END",
        "CREATE TRIGGER set_ AFTER UPDATE ON counters BEGIN UPDATE settings SET value='crystals'; END",
        "CREATE VIEW other AS SELECT load_extension('evil.so')",
        "CREATE TABLE other(a, b AS (char(a)))",
        "CREATE VIRTUAL TABLE other USING fts5(a)",
        "CREATE INDEX other ON log(text)",
    ))  # fmt: skip
    with sqlite3.connect(path) as file:
        file.execute(said)
    file.close()


def falsified(path: Path, draw: random.Random) -> None:
    """With a value changed in some table."""
    table, column = draw.choice((
        ("settings", "value"), ("counters", "value"), ("namespaces", "name"), ("namespaces", "state"),
        ("names", "name"),
        ("log", "packed"), ("log", "body"), ("log", "text"), ("log", "key"), ("blocks", "columns"), ("blocks", "data"),
        ("blocks", "digest"), ("batches", "payload"), ("batches", "kind"), ("keys", "position"), ("blobs", "data"),
        ("attachments", "data"), ("gaps", "last"),
    ))  # fmt: skip
    bomb = b"\x28\xb5\x2f\xfd" + struct.pack("<BQ", 0xE0, 1 << 40) + b"\x01\0\0"
    odd = draw.choice((PICKLE, bomb, b"", b"\xff" * 64, "x" * 9999, DEEP, json.dumps(VALUES[0]), -1, 1 << 62, 0.5))
    with sqlite3.connect(path) as file, suppressed(sqlite3.Error):
        file.execute(f"UPDATE {table} SET {column}=?", (odd,))
    file.close()


class suppressed:
    def __init__(self, kind: type[Exception]) -> None:
        self.kind = kind

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, self.kind)


def read_all(path: Path) -> None:
    """Everything that a user may do with a memory."""
    with Memory.open(path, encoder=None, durability="process") as memory:
        memory.verify()
        memory.recall("red door key", marks=True)
        memory.stats()
        steps = list(memory.steps())
        [memory.blob(digest) for step in steps for digest in step.blobs.values()]
        memory.crystals()
        memory.attachment("state")
        memory.export(path.with_suffix(".out"), derived=True)
        with memory.episode(id="next") as episode:
            episode.log("One more step about the red door.")
        memory.erase(subject="ann")


# ---- files that are taken in


def line(draw: random.Random) -> str:
    fields = draw.sample(FIELDS, draw.randrange(1, 9))
    value = {name: draw.choice([*VALUES, "a text", "door", 7]) for name in fields} | {"text": draw.choice(VALUES)}
    return json.dumps(value) if draw.random() < 0.9 else draw.choice((DEEP, '{"text": NaN', "\x80", "{" * 5000))


def given(path: Path, draw: random.Random) -> Path:
    """A file of one of the formats that ingest takes, or of something else under its name."""
    kind = draw.randrange(6)
    if kind == 0:
        data = PICKLE * draw.randrange(1, 9)
    elif kind == 1:
        data = gzip.compress(b"[" * draw.choice((1_000, 1 << 20)))
    elif kind == 2:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("../../evil.py", "import os; os.system('id')")
            packed.writestr("conversations.json", json.dumps([{"mapping": VALUES[0]}]))
        data = held.getvalue()
    elif kind == 3:
        data = json.dumps([{"title": VALUES[0], "mapping": {"a": {"message": draw.choice(VALUES)}}}]).encode()
    else:
        data = "\n".join(line(draw) for _ in range(8)).encode(errors="surrogatepass")
    made = path.with_suffix(draw.choice((".jsonl", ".json", ".txt", ".md", ".gz", ".py", ".html")))
    made.write_bytes(data)
    return made


def taken(path: Path, folder: Path) -> None:
    with Memory.open(folder / "in.mem", encoder=None, durability="process") as memory:
        try:
            ingest(memory, path, skip_bad=True)
        finally:
            path.unlink()
            memory.recall("red door os.system")


# ---- tensors


def safe(path: Path, own: bytes, draw: random.Random) -> None:
    size = struct.unpack("<Q", own[:8])[0]
    header, tensors = json.loads(own[8 : 8 + size]), own[8 + size :]
    told = json.loads(header["__metadata__"]["agentmem"])
    kind = draw.randrange(8)
    if kind == 0:
        return void(path.write_bytes(draw.choice((PICKLE, b"", b"\xff" * 8, struct.pack("<Q", 1 << 60) + b"{}"))))
    if kind == 1:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w") as packed:
            packed.writestr("archive/data.pkl", PICKLE)
        return void(path.write_bytes(held.getvalue()))
    if kind == 2:
        return void(path.write_bytes(own[: draw.randrange(len(own))]))
    if kind == 3:
        name = draw.choice([one for one in header if one != "__metadata__"])
        header[name] |= draw.choice(
            ({"data_offsets": [0, 1 << 50]}, {"shape": [1 << 40]}, {"dtype": "PICKLE"}, {"shape": [-1]})
        )
    elif kind == 4:
        told["settings"] = odd_settings(told["settings"], draw)
    elif kind == 5:
        told = draw.choice(VALUES)
    elif kind == 6:
        tensors = bytes(draw.randbytes(64)) + b"\x7f\xc0\0\0" * ((len(tensors) - 64) // 4) + b"\0" * (len(tensors) % 4)
    else:
        told["kind"] = draw.choice(("os.system", "../../x", "", "builtins.eval"))
    header["__metadata__"] = {"agentmem": json.dumps(told)}
    packed_header = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(packed_header)) + packed_header + tensors)
    return None


def void(_: object) -> None:
    """For what is done and gives nothing."""


def odd_settings(settings: Any, draw: random.Random) -> Any:
    """One value, somewhere in them, is huge or of another kind."""
    name = draw.choice(sorted(settings))
    if isinstance(settings[name], dict):
        return settings | {name: odd_settings(settings[name], draw)}
    return settings | {name: draw.choice([10**9, 10**6, 30_000, 0, -1, *VALUES])}


def weights(path: Path, draw: random.Random) -> None:
    """Whatever of the package reads weights or states."""
    from agentmem.neural import TokenModel
    from agentmem.neural.checkpoints import path as shipped
    from agentmem.neural.states import from_bytes
    from agentmem.policy.files import load_trained

    if draw.random() < 0.3:
        from_bytes(TokenModel.load(shipped("recall")), path.read_bytes())
    elif draw.random() < 0.5:
        load_trained(str(path))
    else:
        TokenModel.load(path)


def arrays(path: Path, draw: random.Random) -> None:
    """Demonstrations, which are kept as an archive of arrays."""
    from agentmem.policy.demonstrations import read

    with open(path, "wb") as file:
        np.savez(file, states=np.array([Boom()], object)) if draw.random() < 0.5 else file.write(PICKLE)
    read(path)


def workflow(path: Path, draw: random.Random) -> None:
    from agentmem_envs.workflow.definition import load

    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8)
    )
    said = ("!!python/object/apply:os.system ['" + TOUCH + "']", "!!python/name:os.system", bomb, DEEP)
    path.write_text(draw.choice(said))
    load(path)


# ---- running


def plain(folder: Path, draw: random.Random, count: int, attempt: Callable[..., None]) -> None:
    source = folder / "source.mem"
    remembered(source)
    read_all_once = folder / "first.mem"
    shutil.copy(source, read_all_once)
    read_all(read_all_once)
    for number in range(count):
        if number % 3:
            path = folder / f"{number}.mem"
            shutil.copy(source, path)
            harm = draw.choice((flipped, cut, programmed, falsified, falsified))
            harm(path, draw)
            attempt(harm.__name__, read_all, path)
        else:
            attempt("given", taken, given(folder / f"{number}", draw), folder)
        for left in folder.glob(f"{number}.*"):
            left.unlink()


def tensors(folder: Path, draw: random.Random, count: int, attempt: Callable[..., None]) -> None:
    from agentmem.neural.checkpoints import path as shipped
    from agentmem.policy.files import HERE

    files = [shipped("recall").read_bytes(), (HERE / "tmaze.safetensors").read_bytes()]
    path = folder / "model.safetensors"
    for number in range(6):  # what they import, they import now
        for load in (weights, arrays, workflow):
            path.write_bytes(files[number % 2])
            with suppressed(AgentMemError):
                load(path, random.Random(number))
    for number in range(count):
        harm = (safe, safe, safe, safe, arrays, workflow)[number % 6]
        if harm is safe:
            safe(path, draw.choice(files), draw)
            attempt("safe", weights, path, draw)
        else:
            attempt(harm.__name__, harm, folder / f"{number}.x", draw)


def main(kind: str, folder: Path, count: int, seed: int) -> None:
    draw, done, watch = random.Random(seed), Counter[str](), Watch(folder)

    def attempt(name: str, load: Callable[..., None], *given: Any) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        watch.armed = True
        try:
            load(*given)
            done[f"{name}: taken as data"] += 1
        except AgentMemError:
            done[f"{name}: refused"] += 1
        finally:
            watch.armed = False
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before >> 10
        assert not watch.seen, (name, given, watch.seen)
        assert more < MIB, (name, given, more)

    {"plain": plain, "tensors": tensors}[kind](folder, draw, count, attempt)
    assert not HERE.exists()
    print(json.dumps(done))


def tried(kind: str, folder: Path, count: int, seed: int) -> dict[str, int]:
    """How many files of each sort were refused and taken, by a process of its own; what did harm fails."""
    command = [sys.executable, __file__, kind, str(folder), str(count), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1_200)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    assert sum(found.values()) == count
    return found


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
