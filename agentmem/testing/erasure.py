"""A drill of erasures: random memories, each erased of something, looked through, and held beside a twin.

The twin is a memory that was told the same but what was erased. What must be equal: the steps (all but ids, positions
and times), the crystals, recall (text, order, scores, ages), the graph and every replay, where a log position is
written as the rank of its step, a crystal's id as its rank, and times are left out. Knows no test runner:
`run(seed, count)` answers with counts.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentmem.errors import ErasedError, KeyConflictError
from agentmem.index import step_id, step_position
from agentmem.memory import EpisodeWriter, Memory
from agentmem.testing.clock import FakeClock
from agentmem.testing.encoder_fake import HashEncoder
from agentmem.transfer import Importer
from agentmem.types import EraseReport, Step

REQUESTS = ("subject", "episode", "steps", "namespace")
EPISODES = ("house", "harbour", "garden")
SAID = (
    "The score is {n} and the red door is {state}; Bo waits with {m} apples in the kitchen.",
    "I live in {city} now, my favorite color is blue, and order {n} arrives on Friday.",
    "temperature: {n}\nstatus: {state}\nlocation: {city} harbour",
    "We met the captain from {city}. She said the ship sails at {n}; it did sail, {state} or not.",
    "The lamp in room {m} of the {city} hotel is {state}; the key hangs behind the desk.",
)
CUES = ("Is the red door open, and what is the score?", "captain ship sails", "order Friday", "the lamp and the key")
LETTERS = "bcdfghjklmnpqrstvwxz"


@dataclass(frozen=True)
class Said:
    """A step of a script, or with `recalled` a recall of its own text. secret: it is to be erased."""

    episode: str
    text: str
    fields: dict[str, Any]
    secret: bool = False
    recalled: bool = False


@dataclass
class Script:
    """What a memory is told, and what is to be erased of it. canaries: words of that alone."""

    request: str
    said: list[Said] = field(default_factory=list)
    canaries: list[str] = field(default_factory=list)


Progress = Callable[[int, int], None]


def run(seed: int, count: int, progress: Progress | None = None) -> dict[str, Any]:
    """Drill `count` erasures; returns counts, and in `failures` what went wrong, in words.

    Both retention policies and both encodings take turns, and so do requests. progress: called with (done, count).
    """
    told, failures = Counter[str](), list[str]()
    for number in range(count):
        drill = Drill(random.Random(f"{seed}/{number}"), number)
        with tempfile.TemporaryDirectory() as folder:
            drill.run(Path(folder))
        failures += [f"erasure {number} of seed {seed} ({drill.name}): {problem}" for problem in drill.failures]
        told.update(drill.told)
        if progress is not None:
            progress(number + 1, count)
    return {"erasures": count, **dict(sorted(told.items())), "failures": failures}


class Drill:
    """One erasure."""

    def __init__(self, chance: random.Random, number: int) -> None:
        self.chance = chance
        self.retain, self.encoded = ("keep", "crystals")[number % 2], (number + number // 2) % 2
        self.script = script(chance, REQUESTS[number // 4 % len(REQUESTS)])
        self.name = f"{self.script.request}, {self.retain}, {'with' if self.encoded else 'without'} encoder"
        self.failures: list[str] = []
        self.told = Counter({"steps": len(self.script.said), "canaries": len(self.script.canaries)})

    def check(self, holds: bool, problem: str) -> None:
        self.told["checks"] += 1
        if not holds:
            self.failures.append(problem)

    def open(self, path: Path) -> Memory:
        encoder = HashEncoder(32) if self.encoded else None
        retain: Any = self.retain
        return Memory.open(path, encoder=encoder, retain=retain, clock=FakeClock(), durability="process")

    def run(self, folder: Path) -> None:
        file, old, copy = folder / "a.mem", folder / "old.jsonl", folder / "copy.mem"
        with self.open(file) as memory, self.open(file) as other, self.open(folder / "twin.mem") as twin:
            writers = play(memory, self.script.said, self.chance)
            memory.export(old)
            memory.backup(copy)
            there = old.read_text()
            self.check(
                all(word in there or _packed(word) in there for word in self.script.canaries), "a canary missing"
            )
            other.recall(self.script.canaries[0])  # another opener that has all of it in its caches
            report = self.erase(memory)
            play(twin, [one for one in self.script.said if not one.secret], self.chance)
            self.look(memory, other, report, folder)
            self.resurrect(memory, other, writers, old)
            self.equal(memory, twin)
            self.restored(copy, report)
            for one in (memory, twin):
                self.check(one.verify().ok, f"verify: {one.verify().problems[:1]}")

    def erase(self, memory: Memory) -> EraseReport:
        given: dict[str, Any] = {"subject": "ann", "episode": "secret", "namespace": ()}
        request = self.script.request
        if request == "steps":
            given["steps"] = [step.id for step in memory.steps() if step.trust == "web"]
        before = memory.erase(**{request: given[request]}, dry_run=True)
        report = memory.erase(**{request: given[request]})
        counts = {"dry_run", "residue", "surfaces", "certificate"}
        self.check(before.model_dump(exclude=counts) == report.model_dump(exclude=counts), "the preview was another")
        self.told["erased"] += report.steps
        return report

    # ---- nothing is left ---------------------------------------------------------------------------------------------

    def look(self, memory: Memory, other: Memory, report: EraseReport, folder: Path) -> None:
        """Look for canaries with other eyes than the product's."""
        self.check(report.residue == (), f"residue: {report.residue[:3]}")
        certificate = report.certificate
        self.check(certificate is not None and memory.confirm(certificate).ok, "the certificate does not stand")
        new = folder / "new.jsonl"
        memory.export(new, derived=True)
        memory.backup(folder / "new.mem")
        surfaces = {"export": new.read_text()}
        for one, name in ((memory, "recall"), (other, "recall of another opener")):
            surfaces[name] = "".join(one.recall(cue, 4096).text for cue in (*self.script.canaries[:8], *CUES))
        surfaces["graph"], surfaces["replay"] = str(_graph(memory)), str(_replays(memory))
        surfaces["certificate"] = report.certificate.model_dump_json() if report.certificate else ""
        for name in os.listdir(folder):
            if name.startswith(("a.mem", "new.mem")):
                surfaces[f"bytes of {name}"] = (folder / name).read_bytes().decode("latin-1")
        for where, text in surfaces.items():
            words = [word for word in self.script.canaries if len(word) > 5 or not where.startswith("bytes")]
            left = [word for word in words if word in text or _packed(word) in text]
            self.told["residue"] += len(left)
            self.check(not left, f"{len(left)} canaries in {where}, such as {left[:1]}")

    # ---- nothing comes back ------------------------------------------------------------------------------------------

    def resurrect(self, memory: Memory, other: Memory, writers: dict[str, EpisodeWriter], old: Path) -> None:
        """Try to bring it back: by a writer that is open, another opener, a retry, an older export, crystallizing."""
        request = self.script.request
        if request == "subject":
            fresh = other.episode()
            for writer in (*writers.values(), fresh):
                with suppress(ErasedError):
                    writer.log("Late news of Ann.", subjects=["ann"])
                    self.failures.append(f"a late write to {writer.id} was taken")
            other._core.store.erase([one.position for one in other._core.store.scan(episode=fresh.id)])
        if request in ("episode", "namespace"):
            with suppress(KeyConflictError):
                other.episode(id="secret")
                self.failures.append("the erased episode began again")
        keyed = next(one for one in self.script.said if one.secret and one.fields.get("key"))
        writer = EpisodeWriter(other, next(iter(writers.values())).info.model_copy(update={"ended": None}))
        with suppress(KeyConflictError, ErasedError):
            writer.log(keyed.text, **keyed.fields)
            self.failures.append("a retry was taken")
        self._read_back(other, old)
        memory._core.store.discard(())
        memory.crystallize()
        text = str([one.text for one in memory._core.store.scan()]) + str(_crystals(memory))
        left = [word for word in self.script.canaries if word in text]
        self.told["resurrected"] += len(left)
        self.check(not left, f"{len(left)} canaries came back, such as {left[:1]}")

    def _read_back(self, memory: Memory, old: Path) -> None:
        """Read the older export back, as `agentmem import` does."""
        refused = list[str]()
        importer = Importer(memory._core.store, (), memory._core.clock, lambda _, problem: refused.append(problem))
        for number, line in enumerate(old.read_text().splitlines(), 1):
            importer.add(number, json.loads(line))
        importer.flush()
        self.told["refused lines"] += len(refused)
        self.check(len(refused) > 0, "no line of the older export was refused")

    def restored(self, copy: Path, report: EraseReport) -> None:
        """A backup of before is erased again by the certificate alone."""
        with self.open(copy) as memory:
            assert report.certificate is not None
            memory.erase_again(report.certificate.model_dump_json())
            text = str([(one.text, one.body) for one in memory._core.store.scan()])
            left = [word for word in self.script.canaries if word in text]
            self.check(not left, f"{len(left)} canaries in a restored copy, such as {left[:1]}")

    # ---- and nothing else changed ------------------------------------------------------------------------------------

    def equal(self, memory: Memory, twin: Memory) -> None:
        twin.crystallize()
        for what, seen in (("steps", _steps), ("crystals", _crystals), ("recall", _recalls), ("graph", _graph)):
            same = seen(memory) == seen(twin)
            self.told["unequal"] += not same
            self.check(same, f"{what} are not those of a memory that never held it")
        same = _replays(memory) == _replays(twin)
        self.told["unequal"] += not same
        self.check(same, "replays are not those of a memory that never held it")


def script(chance: random.Random, request: str) -> Script:
    """50 to 300 steps, a few of them secret, in episodes that take turns."""
    made = Script(request)
    size = chance.randint(50, 300)
    secret = set(range(size)) if request == "namespace" else set(chance.sample(range(size), chance.randint(3, 12)))
    for number in range(size):
        episode = "secret" if request in ("episode", "namespace") and number in secret else chance.choice(EPISODES)
        made.said += _secret(made, episode, number, chance) if number in secret else [_plain(episode, chance)]
    return made


def _plain(episode: str, chance: random.Random) -> Said:
    words: dict[str, Any] = {"n": chance.randint(1, 999), "m": chance.randint(1, 9)}
    words |= {"state": chance.choice(("open", "locked")), "city": chance.choice(("Oslo", "Lima", "Kyoto", "Accra"))}
    return Said(episode, chance.choice(SAID).format(**words), {"data": {"score": words["n"]}})


def _secret(made: Script, episode: str, number: int, chance: random.Random) -> list[Said]:
    """A step of canaries: long and short words, a value, a key, a blob; some are recalled afterwards."""
    long, short, value, key, blob = (_word(chance, size) for size in (14, 4, 9, 12, 20))
    made.canaries += [long, short, value, key, blob]
    text = (
        f"{long} keeps {short} in the {chance.choice(('vault', 'cellar', 'attic'))} of house {chance.randint(1, 99)}."
    )
    fields: dict[str, Any] = {"data": {"note": value, "of": [number]}, "subjects": ["ann"], "trust": "web"}
    if chance.random() < 0.7 or len(made.canaries) == 5:
        fields |= {"key": key}
    else:
        made.canaries.remove(key)
    fields |= {"blobs": {"b": blob.encode()}}
    said = Said(episode, text, fields, secret=True)
    return [said, Said(episode, text, {}, secret=True, recalled=True)] if chance.random() < 0.3 else [said]


def _word(chance: random.Random, size: int) -> str:
    """A word that is nobody's, and shares its beginning with no other."""
    return "".join(chance.choice(LETTERS) for _ in range(size - 1)) + str(chance.randint(0, 9))


def _packed(word: str) -> str:
    """A word as an export writes a blob of it."""
    return b64encode(word.encode()).decode()


def play(memory: Memory, said: Sequence[Said], chance: random.Random) -> dict[str, EpisodeWriter]:
    """Tell a memory a script, crystallizing now and then; the writers stay open."""
    writers: dict[str, EpisodeWriter] = {}
    for one in said:
        if one.episode not in writers:
            writers[one.episode] = memory.episode(id=one.episode, goal=f"Look after the {one.episode}.")
        if one.recalled:
            writers[one.episode].recall(one.text, budget=200)
        else:
            writers[one.episode].log(one.text, **one.fields)
        if chance.random() < 0.01:
            memory.crystallize()
    memory.crystallize()
    return writers


# ---- what is seen of a memory, without ids, positions and times ------------------------------------------------------


def _ranks(memory: Memory) -> dict[int, int]:
    return {step.position: rank for rank, step in enumerate(memory.steps())}


def _step(step: Step) -> dict[str, Any]:
    return step.model_dump(exclude={"id", "position", "logged_at"})


def _steps(memory: Memory) -> list[Any]:
    return [_step(step) for step in memory.steps()]


def _crystals(memory: Memory) -> list[Any]:
    ranks = _ranks(memory)
    number = {crystal.id: at for at, crystal in enumerate(memory.crystals())}

    def seen(crystal: Any) -> Any:
        told = crystal.model_dump(exclude={"id", "born", "retired", "covers", "sources", "spans"})
        sources = [number.get(one, ranks.get(step_position(one))) for one in crystal.sources]
        return told, sources, [(ranks[span.position], span.start, span.end) for span in crystal.spans]

    return [seen(crystal) for crystal in memory.crystals()]


def _recalls(memory: Memory) -> list[Any]:
    ranks = _ranks(memory)
    found = []
    for cue in CUES:
        for layers in (None, ("unit",), ("cluster", "atom")):
            context = memory.recall(cue, 300, layers=layers)
            hits = [
                (hit.model_dump(exclude={"id", "position", "sources"}), ranks.get(hit.position)) for hit in context.hits
            ]
            found.append((context.text, context.tokens, hits, context.ages.tolist()))
    return found


def _graph(memory: Memory) -> list[Any]:
    from agentmem.graph import memory_graph

    graph = memory_graph(memory)
    named = {step_id(position): f"step {rank}" for position, rank in _ranks(memory).items()}
    named |= {crystal.id: f"crystal {at}" for at, crystal in enumerate(memory.crystals())}
    left_out = ("position", "born", "first", "x", "y", "logged_at", "ended", "retired")
    nodes = [  # a unit that has no words is labelled by its id
        (named.get(node, node), {name: named.get(value, value) for name, value in told.items() if name not in left_out})
        for node, told in graph.nodes(data=True)
    ]
    edges = [(named.get(one, one), named.get(to, to), told["kind"]) for one, to, told in graph.edges(data=True)]
    return [sorted(nodes, key=str), sorted(edges)]


def _replays(memory: Memory) -> dict[str, Any]:
    """Of each episode that has a step: one that began with what was erased began before those of its twin."""
    from agentmem.replay import replay

    return {
        episode.id: [
            (_step(frame.step), [one.text for one in frame.formed], len(frame.retired), frame.events)
            for frame in replay(memory, episode.id)
        ]
        for episode in memory.episodes()
        if any(memory.steps(episode.id))
    }
