"""What recall reads of one namespace, kept in memory and extended as the log grows.

Knows columns, crystals and binary codes as arrays, and how to cut them back to any past position. Knows no store:
whoever holds an index feeds it. Texts stay in the store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agentmem.types import RECORD_TYPES, Codes, Columns, Crystal, Episode, Layer, Namespace, Record
from agentmem.words import stems

STEP = RECORD_TYPES.index("step")
_NEVER = np.iinfo(np.int64).max


def step_id(position: int) -> str:
    """The id of the step at a log position; ids sort as positions do."""
    return f"s{position:011d}"


def step_position(step: str) -> int:
    """The log position in a step's id; -1 if it is no step id."""
    if not isinstance(step, str) or len(step) != 12 or step[0] != "s" or not (step.isascii() and step[1:].isdigit()):
        return -1
    return int(step[1:])


@dataclass(frozen=True, slots=True)
class View:
    """The steps of a namespace as of one log position, hidden ones left out: arrays [n] in log order.

    episode: index into `episodes`; prev, next: index of the neighbour in the same episode, -1 for none; place: 0 at the
    start of the episode, 1 at its end; age: tokens logged since; unit: index into `crystals` of the unit that covers
    the step and exists as of then, -1 for none.
    """

    as_of: int
    position: np.ndarray
    kind: np.ndarray
    episode: np.ndarray
    actor: np.ndarray
    tokens: np.ndarray
    length: np.ndarray
    prev: np.ndarray
    next: np.ndarray
    place: np.ndarray
    age: np.ndarray
    uses: np.ndarray
    pinned: np.ndarray
    unit: np.ndarray
    episodes: Sequence[Episode]
    episode_terms: Sequence[Sequence[str]]
    goal_terms: Sequence[Sequence[str]]
    actors: Mapping[int, str]
    crystals: Sequence[Crystal]
    live: np.ndarray

    def rows(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(index of each log position in this view, mask of those that are in it)."""
        at = np.searchsorted(self.position, positions)
        at[at == len(self.position)] = 0
        known = self.position[at] == positions if len(self.position) else np.zeros(len(positions), bool)
        return at, known


@dataclass(frozen=True, slots=True)
class Dense:
    """All codes of a namespace: rows uint8 [k, 96]; owner, position int64 [m]: code row and log position of each pair
    of a code and a step it stands for; born int64 [k]: log position from which the code's crystal exists.
    """

    rows: np.ndarray
    born: np.ndarray
    owner: np.ndarray
    position: np.ndarray


class Index:
    """The growing image of one namespace. `head` is the last log position it has seen."""

    def __init__(self, namespace: Namespace, generation: int) -> None:
        self.namespace, self.generation = namespace, generation
        self.head = self.serial = self.retired_serial = self.codes_serial = 0
        self.columns = Columns(*(np.zeros(0, np.int64) for _ in Columns._fields))
        self.names: dict[int, str] = {}
        self.episodes: dict[str, Episode] = {}
        self._episode_terms: dict[str, list[str]] = {}
        self._goal_terms: dict[str, list[str]] = {}
        self._hidden: list[tuple[int, bool, np.ndarray]] = []
        self._pins: list[tuple[int, np.ndarray]] = []
        self._uses: list[tuple[int, np.ndarray]] = []
        self.crystals: list[Crystal] = []
        self.retired: dict[str, int] = {}
        self.by_id: dict[str, int] = {}
        self.codes: list[Codes] = []
        self.tail_codes: dict[int, np.ndarray] = {}
        self._views: dict[int, View] = {}
        self._dense: Dense | None = None

    # ---- growing -------------------------------------------------------------------------------------------------

    def extend(self, columns: Columns, events: Sequence[Record], names: Mapping[int, str]) -> None:
        """Take in newer columns, and the records among them that are not steps."""
        if len(columns.position):
            old = self.columns
            self.columns = Columns(*(np.concatenate(pair) for pair in zip(old, columns, strict=True)))
            self.head = int(columns.position[-1])
        self.names.update(names)
        for event in events:
            self._take(event)
        self._views.clear()

    def _take(self, event: Record) -> None:
        body = json.loads(event.body)
        if event.type == "begin":
            self._begin(event, body)
        elif event.type == "end" and event.episode in self.episodes:
            known = self.episodes[event.episode]
            self.episodes[event.episode] = known.model_copy(update={"ended": event.position})
        elif event.type in ("forget", "restore"):
            self._hidden.append((event.position, event.type == "forget", np.array(body["steps"], np.int64)))
        elif event.type == "pin":
            self._pins.append((event.position, np.array(body["steps"], np.int64)))
        elif event.type == "recall":
            self._uses.append((event.position, np.array(body["steps"], np.int64)))

    def _begin(self, event: Record, body: Mapping[str, str]) -> None:
        name = event.episode or ""
        if name in self.episodes:  # resumed
            self.episodes[name] = self.episodes[name].model_copy(update={"ended": None})
            return
        goal, agent = body.get("goal"), body.get("agent")
        self.episodes[name] = Episode(id=name, namespace=event.namespace, goal=goal, agent=agent, began=event.position)
        self._episode_terms[name] = stems(f"{name} {agent or ''}")
        self._goal_terms[name] = stems(goal or "")

    def add_crystals(self, crystals: Sequence[tuple[int, Crystal]], retired: Sequence[tuple[int, str, int]]) -> None:
        for serial, crystal in crystals:
            self.by_id[crystal.id] = len(self.crystals)
            self.crystals.append(crystal)
            self.serial = serial
        for serial, crystal_id, position in retired:
            self.retired[crystal_id] = position
            self.retired_serial = serial
        if crystals or retired:
            self._views.clear()

    def add_codes(self, codes: Sequence[tuple[int, Codes]]) -> None:
        for serial, rows in codes:
            self.codes.append(rows)
            self.codes_serial = serial
        if codes:
            self._dense = None

    # ---- reading -------------------------------------------------------------------------------------------------

    def exists(self, crystal: Crystal, as_of: int) -> bool:
        """Whether a crystal is born and not retired as of a log position."""
        return crystal.born <= as_of < self.retired.get(crystal.id, _NEVER)

    def view(self, as_of: int) -> View:
        """The namespace as of a log position; the newest few views are kept."""
        if as_of not in self._views:
            while len(self._views) >= 4:
                self._views.pop(next(iter(self._views)))
            self._views[as_of] = self._view(as_of)
        return self._views[as_of]

    def positions(self, after: int = 0) -> np.ndarray:
        """Log positions of every record after one, int64."""
        return self.columns.position[np.searchsorted(self.columns.position, after, "right") :]

    def dense(self) -> Dense:
        """The codes of every unit, with the steps they stand for."""
        if self._dense is None:
            self._dense = self._gather()
        return self._dense

    def _gather(self) -> Dense:
        rows, born = [np.zeros((0, 96), np.uint8)], list[int]()
        owner, position = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        coded, sources = {codes.crystal: codes for codes in self.codes}, list[str]()
        for unit in (crystal for crystal in self.crystals if crystal.layer is Layer.UNIT):
            sources += unit.sources  # a code may also stand for the units without one that were sealed before
            codes = coded.get(unit.id)
            if codes is None:
                continue
            steps = np.array([step_position(source) for source in sources], np.int64)
            sources = []
            for first, last in zip(codes.first, codes.last, strict=True):
                inside = steps[(steps >= first) & (steps <= last)]
                owner.append(np.full(len(inside), len(born), np.int64))
                position.append(inside)
                born.append(unit.born)
            rows.append(codes.rows)
        return Dense(np.concatenate(rows), np.array(born, np.int64), np.concatenate(owner), np.concatenate(position))

    def live_atoms(self) -> dict[str, Crystal]:
        """The atoms that hold at the end of the log, by key."""
        atoms = (c for c in self.crystals if c.layer is Layer.ATOM and c.key is not None and c.id not in self.retired)
        return {str(atom.key): atom for atom in atoms}

    def _view(self, as_of: int) -> View:
        columns = self.columns
        keep = (columns.type == STEP) & (columns.position <= as_of)
        total = np.where(columns.position <= as_of, columns.tokens, 0)
        age = total.sum() - np.cumsum(total)
        for at, hide, positions in self._hidden:
            if at <= as_of:
                keep[_find(columns.position, positions)] = not hide
        keep &= columns.type == STEP
        position = columns.position[keep]
        names, episode = np.unique(columns.episode[keep], return_inverse=True)
        episodes = [self._episode(int(name), as_of) for name in names]
        prev, after, place = _neighbours(episode)
        shown = set(position.tolist()) if self._hidden else None
        live = np.array([self.exists(c, as_of) and _shown(c, shown) for c in self.crystals], bool)
        return View(
            as_of=as_of,
            position=position,
            kind=columns.kind[keep],
            episode=episode,
            actor=columns.actor[keep],
            tokens=columns.tokens[keep],
            length=columns.length[keep],
            prev=prev,
            next=after,
            place=place,
            age=age[keep],
            uses=_count(self._uses, as_of, position),
            pinned=_count(self._pins, as_of, position) > 0,
            unit=self._units(position, live),
            episodes=episodes,
            episode_terms=[self._episode_terms.get(e.id, []) for e in episodes],
            goal_terms=[self._goal_terms.get(e.id, []) for e in episodes],
            actors=self.names,
            crystals=self.crystals,
            live=live,
        )

    def _episode(self, name: int, as_of: int) -> Episode:
        known = self.episodes[self.names[name]]
        if known.ended is not None and known.ended > as_of:
            return known.model_copy(update={"ended": None})
        return known

    def _units(self, position: np.ndarray, live: np.ndarray) -> np.ndarray:
        """For each step, the live unit that covers it."""
        unit = np.full(len(position), -1, np.int64)
        for number in np.flatnonzero(live):
            crystal = self.crystals[number]
            if crystal.layer is Layer.UNIT:
                own = np.array([step_position(source) for source in crystal.sources], np.int64)
                unit[_find(position, own)] = number
        return unit


def join(views: Sequence[View]) -> View:
    """Several namespaces as one view, in log order."""
    order = np.argsort(np.concatenate([view.position for view in views]), kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    starts = np.cumsum([0, *(len(view.position) for view in views)])
    episodes = np.cumsum([0, *(len(view.episodes) for view in views)])
    crystals = np.cumsum([0, *(len(view.crystals) for view in views)])

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(view, name) for view in views])[order]

    def shifted(name: str, by: np.ndarray, to: np.ndarray | None = None) -> np.ndarray:
        parts = []
        for view, shift in zip(views, by, strict=False):
            values = getattr(view, name)
            moved = values + shift
            parts.append(np.where(values < 0, -1, to[np.maximum(moved, 0)] if to is not None and len(to) else moved))
        return np.concatenate(parts)[order]

    plain = ("position", "kind", "actor", "tokens", "length", "place", "age", "uses", "pinned")
    return View(
        as_of=max(view.as_of for view in views),
        **{name: column(name) for name in plain},
        episode=shifted("episode", episodes),
        prev=shifted("prev", starts, place),
        next=shifted("next", starts, place),
        unit=shifted("unit", crystals),
        episodes=[episode for view in views for episode in view.episodes],
        episode_terms=[terms for view in views for terms in view.episode_terms],
        goal_terms=[terms for view in views for terms in view.goal_terms],
        actors={name: text for view in views for name, text in view.actors.items()},
        crystals=[crystal for view in views for crystal in view.crystals],
        live=np.concatenate([view.live for view in views]),
    )


def _shown(crystal: Crystal, shown: set[int] | None) -> bool:
    """Whether none of the steps whose words a crystal holds is hidden."""
    return shown is None or all(span.position in shown for span in crystal.spans)


def _find(haystack: np.ndarray, needles: np.ndarray) -> np.ndarray:
    """Where the needles stand in a sorted array; absent ones left out."""
    at = np.searchsorted(haystack, needles)
    known = at < len(haystack)
    at = at[known]
    return np.asarray(at[haystack[at] == needles[known]])


def _count(events: Sequence[tuple[int, np.ndarray]], as_of: int, position: np.ndarray) -> np.ndarray:
    counts = np.zeros(len(position), np.int64)
    for at, positions in events:
        if at <= as_of:
            counts[_find(position, positions)] += 1
    return counts


def _neighbours(episode: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(previous, next, place in 0..1) of each step within its episode; episodes may interleave."""
    n = len(episode)
    order = np.argsort(episode, kind="stable")
    same = episode[order][1:] == episode[order][:-1]
    prev, after = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    prev[order[1:][same]] = order[:-1][same]
    after[order[:-1][same]] = order[1:][same]
    size = np.bincount(episode, minlength=1)
    start = np.cumsum(size) - size
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    place = (rank - start[episode]) / np.maximum(1, size[episode] - 1) if n else np.zeros(0)
    return prev, after, place
