"""The page's files, and the page as one file with its answers inside, which asks nobody. Knows no HTTP.

The files are plain modules of JavaScript. In one file each is a function that returns its exports, one after another;
what may run there is named by its hash, and the answers are packed, since frames repeat what was recalled.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from agentmem.errors import NotFoundError
from agentmem.memory import Memory, check_memory
from agentmem.records import brief, check_path
from agentmem.replay.plain import to_json
from agentmem.store import check_target
from agentmem.store.whole import put
from agentmem.types import Namespace
from agentmem.viewer.look import Look
from agentmem.viewer.questions import READS
from agentmem.viewer.reads import WINDOW, listed, opens

INDEX = "index.html"
MODULES = tuple(
    f"{name}.js"
    for name in "dom source state timeline steps hits edit frame draw graph search compare health main".split()
)
"""Each after those that it imports."""
MEDIA = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
MOST = 32 << 20
"""Bytes of the answers in a file, before they are packed into about a sixth."""
Tell = Callable[[float, float], None]
LINK, SCRIPT = '<link rel="stylesheet" href="static/style.css">', '<script type="module" src="static/main.js"></script>'
_IMPORT = re.compile(r'^import (\{.*?\}) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class) (\w+))", re.MULTILINE)


@cache
def files() -> frozenset[str]:
    """Their names."""
    return frozenset((INDEX, "style.css", *MODULES))


@cache
def read(name: str) -> str:
    return resources("agentmem.viewer").joinpath("static", name).read_text(encoding="utf-8")


def media(name: str) -> str:
    return MEDIA[name.rpartition(".")[2]]


def whole(answers: Mapping[str, Any]) -> str:
    """The page as one document that holds these answers, by `key`."""
    style = read("style.css")
    script = "".join(map(_joined, MODULES))
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{style}</style>'
    data = f'<script type="text/plain" id="answers">{packed(answers)}</script>'
    page = read(INDEX)
    return page.replace(LINK, head).replace(SCRIPT, f'{data}<script type="module">{script}</script>')


def packed(answers: Mapping[str, Any]) -> str:
    """As source.js unpacks them: JSON, gzip, base64; the same for the same answers."""
    return base64.b64encode(gzip.compress(to_json(answers).encode(), mtime=0)).decode()


def _joined(name: str) -> str:
    """A module as a statement of a larger script."""
    code = read(name)
    exports = ", ".join(_EXPORT.findall(code))
    inside = _EXPORT.sub("", _IMPORT.sub(r"const \1 = module_\2;", code))
    return (
        f"const module_{name.removesuffix('.js')} = await (async () => {{\n{inside}\nreturn {{ {exports} }};\n}})();\n"
    )


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def key(name: str, asked: Mapping[str, Any]) -> str:
    """A question as the page names it: see source.js."""
    return f"{name} {json.dumps(asked, sort_keys=True, separators=(',', ':'), ensure_ascii=False)}"


@dataclass
class Exported:
    """What went into a file. frames: steps with all that memory did; left_out: those of the episodes asked for that
    found no room. episodes: how many have a step in it. opens: the step at which it opens, if one was named and found
    room.
    """

    frames: int = 0
    left_out: int = 0
    episodes: int = 0
    bytes: int = 0
    opens: str | None = None
    answers: dict[str, Any] = field(default_factory=dict, repr=False)


def export(
    memory: Memory,
    path: str | Path,
    episode: str | None = None,
    name: str = "memory",
    most: int = MOST,
    near: Sequence[str] = (),
    tell: Tell = lambda done, total: None,
) -> Exported:
    """Write a memory's namespace, or one episode of it, as a page in one file, which opens without a server.

    name: what the page calls the memory. most: bytes of the answers in it, 32 MiB, which are packed into about a sixth:
    the newest episodes first, of each the first frames. near: ids of steps; their frames go before all others, then
    those around them, and the page opens at the last of them. tell: (bytes gathered, most). Raises NotFoundError for an
    episode or a step that is not there and InvalidInputError where a memory stands, before anything is written;
    StoreError where it cannot be: then what was there still is.
    """
    check_memory(memory)
    file = check_path("path", path)
    check_target(file, memory._core.store.path)
    made = gathered(memory, episode, most, name, near, tell)
    content = whole(made.answers).encode()
    with put(file, "page") as out:
        out.write(content)
    made.bytes = len(content)
    return made


def gathered(
    memory: Memory,
    episode: str | None,
    most: int,
    name: str,
    near: Sequence[str] = (),
    tell: Tell = lambda done, total: None,
) -> Exported:
    """The answers to what the page would ask, in at most so many bytes; see `export`."""
    look = Look(memory, name, only=True, read_only=True)
    known = [one.id for one in reversed(memory.episodes())]
    if episode is not None and episode not in known:
        raise NotFoundError(f"there is no episode {brief(episode)} to export; `agentmem replay MEMORY` lists them")
    gather = _Gather(look, memory.namespace, lambda spent: tell(spent, most))
    steps = [memory.step(one) for one in near]
    places = [(one.episode, look.frames(memory.namespace, one.episode).number_of(one.id)) for one in steps]
    for step, (its, at) in reversed([*zip(steps, places, strict=True)]):  # the last first: the page opens there
        gather.limit = most
        if gather.head(its) and gather.frame(its, at) and step is steps[-1]:
            gather.made.opens = step.id
    for number, place in enumerate(places, 1):
        gather.limit = most * number // (len(places) + 1)
        gather.episode(*place)
    gather.limit = most
    for one in known if episode is None else [episode]:
        gather.episode(one)
    return gather.done()


class _Gather:
    """Asks the page's questions, and keeps the answers while there is room. limit: bytes of all answers until now.
    tell: how many there are, after each frame.

    held: of each episode that was asked for, the numbers of the frames that found room; listed: those with a head.
    """

    def __init__(self, look: Look, namespace: Namespace, tell: Callable[[int], None]) -> None:
        self.look, self.namespace, self.tell = look, namespace, tell
        self.limit = self.spent = 0
        self.made = Exported()
        self.held, self.steps, self.listed = dict[str, set[int]](), dict[str, int](), set[str]()
        core = look.memory._core
        with core.lock:
            self.crystals = frozenset(core.index(namespace).by_id)

    def ask(self, what: str, **asked: Any) -> dict[str, Any] | None:
        """The answer, if it finds room; the first that does not leaves none for those behind it."""
        model, answer = READS[what]
        body = {"namespace": list(self.namespace), **asked}
        if (name := key(what, body)) in self.made.answers:
            found: dict[str, Any] = self.made.answers[name]
            return found
        made = answer(self.look, model(**{**body, "namespace": self.namespace}))
        size = len(to_json(made))
        if self.spent + size > self.limit:
            self.limit = self.spent
            return None
        self.spent += size
        self.made.answers[name] = made
        return made

    def episode(self, id: str, number: int = 0) -> None:
        """All that is asked of an episode: its head first, then the frames, those nearest to one first."""
        if self.head(id):
            for at in sorted(range(self.steps[id]), key=lambda at: abs(at - number)):
                if not self.frame(id, at):
                    return

    def head(self, id: str) -> bool:
        """Whether what is asked of an episode before any frame found room."""
        self.held.setdefault(id, set())
        self.steps[id] = len(self.look.frames(self.namespace, id))
        head = ({"what": "replay"}, {"what": "graph", "first": 0, "last": None}, {"what": "tail"})
        if self.spent >= self.limit or any(self.ask(episode=id, **one) is None for one in head):
            return False
        self.listed.add(id)
        return True

    def frame(self, id: str, number: int) -> bool:
        """Whether a frame found room, with its lines in the list of steps, and the steps behind its crystals."""
        lines = self.ask("steps", episode=id, start=number - number % WINDOW)
        made = self.ask("frame", episode=id, number=number) if lines is not None else None
        if made is None:
            return False
        crystals = [one["id"] for one in made["formed"]["first"]]
        for recall in made["recalls"]["first"]:
            hits = [*recall["hits"]["first"], *recall["missed"]["first"]]
            crystals += [hit["id"] for hit in hits if hit["layer"] != "step"]
        mine = [one for one in dict.fromkeys(crystals) if one in self.crystals]  # others are of other namespaces
        if any(self.ask("sources", id=one) is None for one in mine):
            return False
        self.held[id].add(number)
        self.tell(self.spent)
        return True

    def done(self) -> Exported:
        """With what there is in all."""
        self.made.frames = sum(map(len, self.held.values()))
        self.made.episodes = sum(map(bool, self.held.values()))
        self.made.left_out = sum(self.steps.values()) - self.made.frames
        there = [one for one in self.look.memory.episodes() if one.id in self.listed]
        newest = there[::-1]
        first = listed(self.look, self.namespace, newest)
        body = {"namespace": list(self.namespace)}
        model, answer = READS["health"]
        self.made.answers[key("health", body)] = answer(self.look, model(namespace=self.namespace))
        self.made.answers[key("episodes", {**body, "find": "", "start": 0})] = {
            "count": len(first),
            "first": first,
            "opens": opens(self.look, self.namespace, newest),
        }
        opened = READS["memory"][1](self.look, READS["memory"][0]())
        self.made.answers[key("memory", {})] = opened | {
            "left_out": self.made.left_out,
            "frames": self.made.frames,
            "asked": len(self.steps),
            "step": self.made.opens,
        }
        for one in self.listed:
            replay, held = self.made.answers[key("replay", {**body, "episode": one})], self.held[one]
            wanted = replay["frames"] - 1 if replay["recalled"] is None else replay["recalled"]
            replay |= {"held": len(held), "opens": _nearest(held, wanted)}
        return self.made


def _nearest(numbers: Iterable[int], wanted: int) -> int:
    """The nearest of them; 0 of none."""
    return min(numbers, key=lambda number: abs(number - wanted), default=0)
