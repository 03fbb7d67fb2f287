"""The ways into a memory from Python: every verb with arguments that are good, one or two of which are then not.

Each says what it must have done where it took what it was given. Knows neither what is bad nor how it is counted."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import numpy as np

from agentmem import Memory
from agentmem.errors import NotFoundError
from agentmem.graph import memory_graph
from agentmem.ingest import ingest
from agentmem.memory import EpisodeWriter
from agentmem.replay import replay
from agentmem.testing import FakeClock
from agentmem.types import Step
from torture.world import MINE, NEEDLE, NUMBERS, World

LINES = 1_000_000  # characters of a field of a line of a file
Given = dict[str, Any]


@dataclass(frozen=True)
class Door:
    """call: a World and arguments -> what it gives. good: arguments that it takes, as makers of them. needed: those
    that cannot be left out. check: a World, what was given, and what came of it; AssertionError where it is not that.
    files: arguments that name what is written. most: characters of a text that is given, so that it fits a wire.
    """

    call: Callable[..., Any]
    good: Mapping[str, Callable[[World], Any]]
    needed: tuple[str, ...] = ()
    check: Callable[[World, Given, Any], None] | None = None
    files: tuple[str, ...] = ("path",)
    most: int = 1 << 40


# ---- what must be there


def plain(value: Any) -> Any:
    """What JSON has of a value."""
    if isinstance(value, np.ndarray | np.generic | memoryview):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def same(given: Any, found: Any) -> bool:
    """Equal, and of one type: 1 is not True, and 0.0 not -0.0."""
    return json.dumps(plain(given), sort_keys=True) == json.dumps(found, sort_keys=True)


def check_step(world: World, given: Given, step: Step) -> None:
    """The step in the memory is what was given."""
    for name in ("text", "kind", "actor", "key", "reply_to", "trust"):
        if name in given:
            assert getattr(step, name) == given[name], name
    if "subjects" in given and not isinstance(given["subjects"], Iterator):
        assert sorted(step.subjects) == sorted(given["subjects"])
    if given.get("data") is not None:
        assert same(given["data"], step.data), "data"
    if given.get("reward") is not None:
        assert repr(step.reward) == repr(float(given["reward"])), "reward"
    if (at := given.get("at")) is not None:
        assert step.at == (at if isinstance(at, datetime) else datetime.fromisoformat(at)), "at"
    for name, content in (given.get("blobs") or {}).items():
        assert world.mine.blob(step.blobs[name]) == bytes(content), "blob"
    assert world.mine.step(step.id) == step


def check_steps(world: World, given: Given, steps: list[Step]) -> None:
    if isinstance(given["steps"], list | tuple):
        for told, step in zip(given["steps"], steps, strict=True):
            check_step(world, {"text": told} if isinstance(told, str) else dict(told), step)


def check_transition(world: World, given: Given, steps: tuple[Step, Step]) -> None:
    if isinstance(given["action"], str):
        assert steps[0].text == given["action"]
    else:
        assert same(given["action"], steps[0].data)
    assert [world.mine.step(step.id) for step in steps] == list(steps)


def check_episode(world: World, given: Given, writer: EpisodeWriter) -> None:
    found = {one.id: one for one in world.mine.episodes()}[writer.id]
    for name in ("goal", "id", "agent"):
        assert given.get(name) is None or getattr(found, name) == given[name], name


def check_context(world: World, given: Given, context: Any) -> None:
    assert NEEDLE not in context.text.lower()
    if "count_tokens" not in given:
        assert context.tokens <= given.get("budget", 1024)


def check_attached(world: World, given: Given, _: None) -> None:
    assert world.mine.attachment(given["name"]) == bytes(given["content"])


def check_scoped(world: World, given: Given, view: Memory) -> None:
    assert view.namespace == tuple(parts(given.get("namespace", ())))


def check_ingested(world: World, given: Given, report: Any) -> None:
    """What was taken of a line is what stands in it."""
    if report.steps and isinstance(text := given["line"].get("text"), str):
        assert any(step.text == text for step in world.mine.steps())


# ---- the verbs

TEXT: Mapping[str, Callable[[World], Any]] = {
    "text": lambda world: f"The blue lamp {next(NUMBERS)} burns.",
    "kind": lambda world: "message",
    "actor": lambda world: "Ann",
    "at": lambda world: "2026-01-31T14:05:00",
    "data": lambda world: {"n": next(NUMBERS), "of": [1, 2.5, None, "x"]},
    "blobs": lambda world: {"b": b"bytes"},
    "reward": lambda world: 1.5,
    "terminated": lambda world: True,
    "truncated": lambda world: False,
    "key": lambda world: f"key {next(NUMBERS)}",
    "reply_to": lambda world: world.step,
    "subjects": lambda world: ["bo"],
    "trust": lambda world: "tool",
}
GOOD: Mapping[str, Callable[[World], Any]] = {
    **TEXT,
    "steps": lambda world: [TEXT["text"](world)],
    "action": lambda world: "open",
    "observation": lambda world: {"door": "open"},
    "info": lambda world: {"text": "It opens.", "n": 1},
    "goal": lambda world: "open the red door",
    "id": lambda world: f"episode {next(NUMBERS)}",
    "agent": lambda world: "Ann",
    "cue": lambda world: "which key opens the red door?",
    "budget": lambda world: 200,
    "as_of": lambda world: world.step,
    "count_tokens": lambda world: len,
    "episode": lambda world: "door",
    "layers": lambda world: ["unit"],
    "marks": lambda world: True,
    "weights": lambda world: None,
    "matching": lambda world: False,
    "digest": lambda world: "00" * 32,
    "namespace": lambda world: ("acme", "gone"),
    "read": lambda world: [("acme", "gone")],
    "name": lambda world: "state",
    "content": lambda world: b"a state",
    "backup": lambda world: None,
    "dry_run": lambda world: True,
    "path": lambda world: world.folder / f"out {next(NUMBERS)}",
    "derived": lambda world: True,
    "derived_from": lambda world: world.step,
    "who": lambda world: "an officer",
    "undo": lambda world: True,
    "reason": lambda world: "not read yet",
    "ids": lambda world: [world.step],
    "subject": lambda world: f"subject {next(NUMBERS)}",
    "given": lambda world: True,
    "note": lambda world: "by phone",
    "scan": lambda world: [],
    "certificate": lambda world: world.certificate,
    "progress": lambda world: None,
    "after": lambda world: 0,
    "told": lambda world: [],
    "around": lambda world: "door",
    "newest": lambda world: 5,
    "hops": lambda world: 1,
    "limit": lambda world: 20,
    "retired": lambda world: True,
    "actions": lambda world: {"personal": "off"},
    "patterns": lambda world: [],
    "analyser": lambda world: None,
    "rules": lambda world: [],
}
APART = ("redaction", "retain")  # what they set holds for what is logged later, so they set it elsewhere
SKIPPED = {
    "open": "below", "close": "ends the world", "aclose": "ends the world", "repair": "below",
    "alog": "through log", "arecall": "through recall", "acrystallize": "through crystallize",
    "shown": "of who tells, not of a caller", "remember_recalls": "of who tells, not of a caller",
}  # fmt: skip
CHECKS: Mapping[str, Callable[[World, Given, Any], None]] = {
    "log": check_step, "observe": check_step, "act": check_step, "say": check_step, "log_many": check_steps,
    "transition": check_transition, "episode": check_episode, "recall": check_context, "attach": check_attached,
    "scoped": check_scoped,
}  # fmt: skip
CHOSEN = {
    "forget": ("steps", "episode", "derived_from", "trust"),
    "erase": ("subject", "episode", "steps", "namespace"),
}


def verbs() -> dict[str, Door]:
    """A door for every public verb of Memory and EpisodeWriter."""
    made = {}
    for kind, of in ((Memory, lambda world: world.mine), (EpisodeWriter, World.open_writer)):
        for name, verb in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_") and name not in SKIPPED:
                made[f"{kind.__name__}.{name}"] = _verb(name, verb, World.apart if name in APART else of)
    return made


def _verb(name: str, verb: Callable[..., Any], of: Callable[[World], Any]) -> Door:
    told = [one for one in inspect.signature(verb).parameters.values() if one.name != "self"]
    good = {one.name: GOOD[one.name] for one in told if one.kind is not one.VAR_KEYWORD}
    if len(good) < len(told):
        good |= {name: make for name, make in TEXT.items() if name not in ("kind", *good)}
    if name in ("step", "expand"):
        good["id"] = lambda world: world.draw.choice((world.step, world.crystal))
    needed = [one.name for one in told if one.default is one.empty and one.name in good]
    return Door(_called(name, of), good, tuple(needed), CHECKS.get(name))


def parts(value: Any) -> Any:
    """What `scoped` is given as its arguments, of which one may be anything."""
    return value if isinstance(value, list | tuple) else (value,)


def _called(name: str, of: Callable[[World], Any]) -> Callable[..., Any]:
    def call(world: World, **given: Any) -> Any:
        if name in CHOSEN and world.draw.random() < 0.8:  # by one alone, as it must be
            kept = world.draw.choice([one for one in CHOSEN[name] if one in given] or ["episode"])
            given = {one: value for one, value in given.items() if one not in CHOSEN[name] or one == kept}
        spread = parts(given.pop("namespace", ())) if name == "scoped" else ()
        gives = getattr(of(world), name)(*spread, **given)
        return list(islice(gives, 50)) if isinstance(gives, Iterator) else gives

    return call


# ---- the rest


def _open(world: World, **given: Any) -> Any:
    with Memory.open(**{"durability": "process", "encoder": None} | given) as memory:
        if not isinstance(given.get("namespace"), Iterator):
            assert memory.namespace == tuple(given.get("namespace", ()))
        assert memory.recall("red door").text == ""


def _opened_to_read(world: World, **given: Any) -> Any:
    with Memory.open(world.path, read_only=True, encoder=None, **given) as memory:
        return memory.recall("red door").text


def _repair(world: World, **given: Any) -> Any:
    return world.memory.repair(**{**given, "dry_run": True})


def _ingest(world: World, line: Any, **given: Any) -> Any:
    """A file with one line that holds what is drawn."""
    path = world.folder / f"in {next(NUMBERS)}.jsonl"
    try:
        path.write_text(json.dumps(line) + "\n")
    except (TypeError, ValueError, RecursionError):  # no line can hold it
        path.write_text(f'{{"id": "a", "episode": "b", "text": {"[" * 5_000}')
    return ingest(world.mine, path, **given)


def _frames(world: World, **given: Any) -> Any:
    frames = replay(world.mine, **given)
    return [frames[at] for at in range(min(3, len(frames)))]


def _shape(world: World, text: Any) -> Any:
    """Many steps of one shape, condensed and recalled."""
    steps = world.draw.choice(
        (
            [text[:2000] if isinstance(text, str) else text] * 60,
            ["a"] * 300,
            [f"{n}" for n in range(300)],
            ["", " ", "\n"] * 60,
        )
    )
    try:
        world.open_writer().log_many(steps)
    except NotFoundError:
        raise AssertionError("a step was not found") from None
    world.mine.crystallize()
    return world.mine.recall(steps[0])


LINE: Mapping[str, Callable[[World], Any]] = {
    **{name: make for name, make in TEXT.items() if name not in ("blobs", "reply_to")},
    "blobs": lambda world: {"b": "Ynl0ZXM="},
    "id": lambda world: f"line {next(NUMBERS)}",
    "episode": lambda world: "ingested",
    "logged_at": lambda world: "2026-01-01T00:00:00+00:00",
    "namespace": lambda world: list(MINE),
    "role": lambda world: "user",
    "content": lambda world: "Which door is red?",
    "type": lambda world: "begin",
    "goal": lambda world: "open it",
    "steps": lambda world: [],
}
GIVEN = ("format", "skip_bad", "dry_run")


def _line(world: World, **given: Any) -> Any:
    options = {name: given.pop(name) for name in GIVEN if name in given}
    return _ingest(world, given, **options)


def _check_line(world: World, given: Given, report: Any) -> None:
    line = {name: value for name, value in given.items() if name not in GIVEN}
    if not given.get("dry_run"):
        check_ingested(world, {"line": line}, report)


def doors() -> dict[str, Door]:
    """Every way in from Python."""
    graph = {
        name: GOOD[name]
        for name in ("as_of", "layers", "episode", "agent", "newest", "around", "hops", "limit", "retired")
    }
    kept = {name: make for name, make in LINE.items() if name not in ("role", "content", "type", "goal", "steps")}
    more: dict[str, Callable[[World], Any]] = {
        "format": lambda world: "history", "skip_bad": lambda world: True, "dry_run": lambda world: False
    }  # fmt: skip
    settings: dict[str, Callable[[World], Any]] = {
        "path": GOOD["path"], "namespace": GOOD["namespace"], "retain": lambda world: "keep",
        "horizon": lambda world: 20_000, "durability": lambda world: "process", "key_file": lambda world: None,
        "access_log": lambda world: False, "untrusted": lambda world: 0.2, "clock": lambda world: FakeClock(),
        "encoder": lambda world: None, "condenser": lambda world: None, "passphrase": lambda world: None}  # fmt: skip
    return verbs() | {
        "Memory.open": Door(_open, settings, ("path",), files=("path", "key_file")),
        "Memory.open to read": Door(_opened_to_read, {"retain": settings["retain"], "horizon": settings["horizon"]}),
        "Memory.repair": Door(_repair, {"backup": GOOD["backup"], "dry_run": GOOD["dry_run"]}),
        "ingest": Door(_line, {**kept, **more}, ("text", "episode", "id"), _check_line, most=LINES),
        "ingest chat": Door(_line, {**more, "format": lambda world: "openai", "role": LINE["role"],
                            "content": LINE["content"]}, ("role", "content"), most=LINES),
        "import": Door(_line, {**LINE, **more, "format": lambda world: "export"}, ("format",), _check_line, most=LINES),
        "ingest a path": Door(lambda world, **given: ingest(world.mine, **given),
                              {"path": GOOD["path"], **more}, ("path",), files=()),
        "memory_graph": Door(lambda world, **given: memory_graph(world.mine, **given).number_of_nodes(), graph),
        "replay": Door(_frames, {"episode_id": GOOD["episode"], "cue": GOOD["cue"], "budget": GOOD["budget"],
                       "layers": GOOD["layers"], "count_tokens": GOOD["count_tokens"]}, ("episode_id",)),
        "a log of one shape": Door(_shape, {"text": GOOD["text"]}, ("text",)),
    }  # fmt: skip
