"""Two tenants of one memory: what one does, drawn from a seed, and what it gets back, told without log positions.

Ids of steps number the whole file, so they are told as the n-th of the tenant's own; all else must be the same bytes.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from strategies import CITIES, COLORS, CUES, STATES, TEMPLATES

from agentmem import Memory, Rule
from agentmem.errors import AgentMemError, NotFoundError
from agentmem.index import step_id
from agentmem.testing import HashEncoder

EPISODES = ("door", "desk", "délta")
# What tells of the file as a whole: log positions, and what a certificate says of it.
PLACES = {"id", "born", "retired", "covers", "spans", "steps", "store_version", "sha256",
          "before", "after", "marks", "salt", "scope", "bars"}  # fmt: skip
NEVER = "s00000999999"
LAYERS = (None, ["unit"], ["cluster", "atom"])
NAMES = [
    (("acme", "ann"), ("acme", "bob")),
    (("acme",), ("acme", "ann")),
    ((), ("a",)),
    (("a",), ("A",)),
    (("%",), ("a",)),
]
NEEDLES = "quokka", "numbat"
TURNS = 14
STEP = re.compile(r"\bs\d{11}\b")
PLACE = re.compile(r"\bat position (\d+)\b")
CRYSTAL = re.compile(r"\b[uca][0-9a-f]{16,}\b")

# Of the file as a whole, for whoever holds it: they take or give no words of a namespace.
OF_THE_FILE = {"open", "close", "aclose", "backup", "verify", "head", "confirm", "erase_again", "repair"}
# Tried through what they call, or by another test.
OTHERWISE = {
    "arecall",
    "acrystallize",
    "alog",
    "scoped",
    "remember_recalls",
    "shown",
    "observe",
    "act",
    "say",
    "acting",
    "redaction",  # of a namespace and those below it
    "who",
}


class Tenant:
    """Draws verbs from a seed, runs them in a namespace and keeps what came back."""

    def __init__(self, memory: Memory, namespace: tuple[str, ...], seed: str, secret: str, folder: Path) -> None:
        self.view, self.folder = memory.scoped(*namespace), folder
        self.draw, self.secret = random.Random(seed), secret
        self.steps: list[str] = []
        self.told: list[Any] = []
        self.tried: set[str] = set()
        self._writers: dict[str, Any] = {}
        self._blobs: list[str] = []

    def act(self, theirs: Tenant | None) -> None:
        """One verb; `theirs` is the other, whose ids are tried as well."""
        name = self.draw.choice(sorted(VERBS))
        try:
            answer = VERBS[name](self, theirs)
        except AgentMemError as error:
            answer = (type(error).__name__, str(error))
        self.tried.add(name)
        self.told.append((name, self._plain(answer)))

    def _plain(self, answer: Any) -> str:
        def ordinal(found: re.Match[str]) -> str:
            return f"step {self.steps.index(found[0])}" if found[0] in self.steps else "a step of nobody"

        said = PLACE.sub(lambda found: step_id(int(found[1])), repr(answer))
        return CRYSTAL.sub("crystal", STEP.sub(ordinal, said))

    # ---- what is drawn

    def text(self) -> str:
        draw = self.draw
        words = {"n": draw.randrange(9), "state": draw.choice(STATES), "city": draw.choice(CITIES)}
        said = draw.choice(TEMPLATES).format(color=draw.choice(COLORS), **words)
        return f"{said} {self.secret}-{draw.randrange(99)}" if draw.random() < 0.4 else said

    def writer(self) -> Any:
        name = self.draw.choice(EPISODES)
        if name not in self._writers or self._writers[name].info.ended is not None:
            self._writers[name] = self.view.episode(goal=None, id=name)
        return self._writers[name]

    def own(self) -> str:
        return self.draw.choice(self.steps) if self.steps else NEVER

    def any_step(self, theirs: Tenant | None) -> str:
        """A step of this tenant's, or of the other's: alone, one that never was in its place."""
        if self.draw.random() < 0.6:
            return self.own()
        return theirs.steps[-1] if theirs and theirs.steps else NEVER

    def cue(self) -> str:
        return self.draw.choice([*CUES, "amber birch cobalt", self.text()])

    # ---- verbs

    def log(self, theirs: Tenant | None) -> Any:
        draw, more = self.draw, {}
        if draw.random() < 0.3:
            more["blobs"] = {"b": f"{self.secret}{draw.randrange(3)}".encode()}
        if draw.random() < 0.3:
            more["subjects"] = [draw.choice(("ann", "bo"))]
        if draw.random() < 0.3:
            more["key"] = f"key {draw.randrange(4)}"
        if draw.random() < 0.3:
            more["reply_to"] = self.any_step(theirs)
        step = self.writer().log(self.text(), data={"n": draw.randrange(9), "note": self.secret}, **more)
        self._blobs += step.blobs.values()
        self.steps += [] if step.id in self.steps else [step.id]
        return _step(step)

    def log_many(self, theirs: Tenant | None) -> Any:
        made = self.writer().log_many([self.text() for _ in range(self.draw.randrange(1, 30))])
        self.steps += [step.id for step in made]
        return list(map(_step, made))

    def transition(self, theirs: Tenant | None) -> Any:
        made = self.writer().transition("open", {"door": self.text()}, 1.0)
        self.steps += [step.id for step in made]
        return list(map(_step, made))

    def end(self, theirs: Tenant | None) -> Any:
        return self.writer().end()

    def recall(self, theirs: Tenant | None) -> Any:
        draw = self.draw
        as_of = draw.choice((None, None, self.own()))
        episode = draw.choice((None, None, draw.choice(EPISODES)))
        budget, layers = draw.choice((0, 60, 400, 2000)), draw.choice(LAYERS)
        asked = self.writer().recall if draw.random() < 0.3 else self.view.recall
        context = asked(self.cue(), budget, as_of, None, episode, None, layers, draw.random() < 0.3)
        hits = [(*_hit(hit), hit.tokens, hit.age) for hit in context.hits]
        return context.text, context.sections, context.tokens, hits

    def rank(self, theirs: Tenant | None) -> Any:
        found = self.view.rank(self.cue(), layers=self.draw.choice(LAYERS))
        return [_hit(hit) for hit, _ in zip(found, range(5), strict=False)]

    def listed(self, theirs: Tenant | None) -> Any:
        crystals = [(one.layer, one.text, one.key, one.value, one.tokens) for one in self.view.crystals()]
        episodes = [(one.id, one.goal, one.ended is None) for one in self.view.episodes()]
        return list(map(_step, self.view.steps())), episodes, crystals, self.view.attachments()

    def step(self, theirs: Tenant | None) -> Any:
        return _step(self.view.step(self.any_step(theirs)))

    def expand(self, theirs: Tenant | None) -> Any:
        own = [one.id for one in self.view.crystals()]
        if self.draw.random() < 0.6:
            return list(map(_step, self.view.expand(self.draw.choice(own or [NEVER]))))
        other = [one.id for one in theirs.view.crystals()] if theirs else []
        return self._refused(self.view.expand, other[-1] if other else "u" + "0" * 16)

    def blob(self, theirs: Tenant | None) -> Any:
        if self.draw.random() < 0.6:
            return self.view.blob(self._blobs[-1] if self._blobs else "00" * 32)
        return self._refused(self.view.blob, theirs._blobs[-1] if theirs and theirs._blobs else "11" * 32)

    def _refused(self, verb: Callable[[str], Any], id: str) -> Any:
        try:
            return verb(id)
        except NotFoundError:
            return "not found"

    def forget(self, theirs: Tenant | None) -> Any:
        draw = self.draw
        what: dict[str, Any] = draw.choice(
            (
                {"steps": self.any_step(theirs)},
                {"derived_from": self.any_step(theirs)},
                {"episode": draw.choice(EPISODES)},
            )
        )
        return self.view.forget(**what, undo=draw.random() < 0.4)

    def pin(self, theirs: Tenant | None) -> Any:
        return self.view.pin(self.any_step(theirs))

    def erase(self, theirs: Tenant | None) -> Any:
        draw = self.draw
        what: dict[str, Any] = draw.choice(
            (
                {"steps": self.any_step(theirs)},
                {"subject": draw.choice(("ann", "bo"))},
                {"episode": draw.choice(EPISODES)},
            )
        )
        done = self.view.erase(**what, dry_run=draw.random() < 0.5)
        return done.dry_run, done.steps, done.crystals, done.episodes, done.attachments

    def consent(self, theirs: Tenant | None) -> Any:
        return self.view.consent(self.draw.choice(("ann", "bo")), self.draw.random() < 0.5)

    def retain(self, theirs: Tenant | None) -> Any:
        rules = ([], [Rule(max_steps=6)], [Rule(subject="ann", max_age=3)], [Rule(min_salience=0.5)])
        done = self.view.retain(self.draw.choice(rules), dry_run=self.draw.random() < 0.3)
        return done.dry_run, done.steps, self.view.rules()

    def expire(self, theirs: Tenant | None) -> Any:
        done = self.view.expire(dry_run=self.draw.random() < 0.4)
        return done.dry_run, done.steps, done.crystals, done.episodes

    def hold(self, theirs: Tenant | None) -> Any:
        what: dict[str, Any] = self.draw.choice(({"steps": [self.any_step(theirs)]}, {"subject": "ann"}))
        self.view.hold(f"case {self.draw.randrange(2)}", **what)
        return self.view.holds()

    def lift(self, theirs: Tenant | None) -> Any:
        return self.view.lift(f"case {self.draw.randrange(2)}")

    def changes(self, theirs: Tenant | None) -> Any:
        told = [  # names are told as salted digests
            (one.what, one.episode, {name: value for name, value in one.detail.items() if not isinstance(value, str)})
            for one in self.view.changes()
        ]
        return told, len(self.view.certificates()), self.view.forgotten()

    def crystallize(self, theirs: Tenant | None) -> Any:
        report = self.view.crystallize()
        return report.layers, report.retired, report.steps

    def attach(self, theirs: Tenant | None) -> Any:
        return self.view.attach(self.draw.choice("xyz"), self.text().encode())

    def attachment(self, theirs: Tenant | None) -> Any:
        return self.view.attachment(self.draw.choice("xyz"))

    def detach(self, theirs: Tenant | None) -> Any:
        return self.view.detach(self.draw.choice("xyz"))

    def stats(self, theirs: Tenant | None) -> Any:
        found = self.view.stats()
        return found.steps, found.episodes, found.tokens, found.layers, found.uncoded

    def export(self, theirs: Tenant | None) -> Any:
        path = self.folder / "out.jsonl"
        self.view.export(path, derived=True)
        lines = list(map(json.loads, path.read_text().splitlines()))
        path.unlink()
        return [{name: value for name, value in line.items() if name not in PLACES} for line in lines]


def _step(step: Any) -> Any:
    return step.model_dump(exclude={"position", "logged_at"})


def _hit(hit: Any) -> Any:
    return hit.layer, hit.id, hit.score, hit.reasons, hit.span, hit.section, hit.text


VERBS: dict[str, Callable[[Tenant, Tenant | None], Any]] = {
    name: verb for name, verb in vars(Tenant).items() if callable(verb) and not name.startswith("_")
}
for name in ("act", "text", "writer", "own", "any_step", "cue"):
    del VERBS[name]


def told(folder: Path, seed: int, together: bool) -> tuple[Tenant, Tenant]:
    """Two tenants after their turns, which the first has in one memory with the other, or in one of its own."""
    order, now = random.Random(seed), [0.0]
    path, other = folder / f"{seed}-{together}.mem", folder / f"{seed}-other.mem"
    encoder = HashEncoder() if seed % 2 else None
    retain = ("keep", "crystals")[seed % 3 == 0]
    mine, theirs = NAMES[seed % len(NAMES)]

    def opened(path: Path) -> Memory:
        return Memory.open(path, encoder=encoder, clock=lambda: now[0], durability="process", retain=retain, horizon=50)

    with opened(path) as memory, opened(other) as apart:
        one = Tenant(memory, mine, f"{seed} one", NEEDLES[0], folder)
        two = Tenant(memory if together else apart, theirs, f"{seed} two", NEEDLES[1], folder)
        for turn in range(2 * TURNS):
            now[0] = 1.7e9 + turn
            if order.random() < 0.5:
                one.act(two if together else None)
            else:
                two.act(one if together else None)
    other.unlink()
    return one, two


def check(folder: Path, seed: int) -> set[str]:
    """The verbs that were tried."""
    together, (alone, _) = told(folder, seed, True), told(folder, seed, False)
    for one, other in zip(together, reversed(NEEDLES), strict=True):
        assert not any(other in answer for _, answer in one.told), seed
    for place, (shared, by_itself) in enumerate(zip(together[0].told, alone.told, strict=True)):
        assert shared == by_itself, (seed, place)
    return alone.tried
