"""The growing image of one namespace: columns, crystals and binary codes as arrays, cut back to any past position.

Knows no store: whoever holds an index feeds it. Taking in what is new costs as much as is new.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from agentmem.index.grown import Grown
from agentmem.index.ids import STEP, step_position
from agentmem.index.timeline import Timeline
from agentmem.index.view import Dense, View
from agentmem.types import Codes, Columns, Crystal, Episode, Layer, Namespace, Record, State, Version
from agentmem.words import stems

LAYERS = tuple(Layer)
SIXTEENTHS = 16
AHEAD = 20_000  # records that may be read ahead of the watermark
_NEVER = np.iinfo(np.int64).max


class Index:
    """`head` is the last log position it has seen; `watermark` how far its crystals reach. `names` may be shared."""

    def __init__(self, namespace: Namespace, generation: int, names: Mapping[int, str]) -> None:
        self.namespace, self.generation, self.names = namespace, generation, names
        self.head = self.watermark = self.serial = self.retired_serial = self.codes_serial = 0
        self._log = Grown(len(Columns._fields))
        self._unit = Grown(1)  # per record of the log, the number of the unit that covers it, -1 for none
        self._sealed = Grown(5)  # per crystal: born, retired, layer, tokens, salience in sixteenths
        self.episodes: dict[str, Episode] = {}
        self._episode_terms: dict[str, list[str]] = {}
        self._goal_terms: dict[str, list[str]] = {}
        self._hidden: list[tuple[int, bool, np.ndarray]] = []
        self._pins = Grown(2)
        self._uses = Grown(2)  # log position of a recall, and of a step it showed
        self.crystals: list[Crystal] = []
        self.units: list[Crystal] = []
        self.retired: dict[str, int] = {}
        self.by_id: dict[str, int] = {}
        self.live_atoms: dict[str, Crystal] = {}
        self.coded: dict[str, Codes] = {}
        self.latest = np.zeros(0)  # per record, the latest time of logging up to it, as far as it was asked for
        self._bags: dict[str, Counter[str]] = {}
        self.timeline = Timeline()
        self.sealed_upto = 0
        self.states_serial = 0
        self.read_upto = 0  # the log position up to which states were read ahead
        self.runs: dict[str, dict[str, Any]] | None = None  # what the states of the next steps depend on
        self._views: dict[int, View] = {}
        self._codes = _Codes()

    @property
    def version(self) -> Version:
        """What the store said of this namespace when the index was brought up to it."""
        return Version(self.generation, self.watermark)

    @property
    def columns(self) -> Columns:
        """Every record of the log."""
        return Columns(*self._log.rows)

    # ---- growing -------------------------------------------------------------------------------------------------

    def extend(self, columns: Columns, events: Sequence[Record]) -> None:
        """Take in newer columns, and the records among them that are not steps."""
        self._log.extend(columns)
        self._unit.extend([np.full(len(columns.position), -1)])
        self.head = int(columns.position[-1])
        for event in events:
            self._take(event)
        self._begin_unknown(columns)
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
            self._pins.extend([[event.position] * len(body["steps"]), body["steps"]])
        elif event.type == "recall":
            shown = body["steps"]
            self._uses.extend([[event.position] * len(shown), shown])

    def _begin_unknown(self, columns: Columns) -> None:
        """An episode whose beginning was erased while its writer went on begins with its first step."""
        steps = columns.type == STEP
        names, first = np.unique(columns.episode[steps], return_index=True)
        for name, at in zip(names.tolist(), columns.position[steps][first].tolist(), strict=True):
            if self.names[name] not in self.episodes:
                self._begin(Record("begin", self.namespace, self.names[name], position=at), {})

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
            self._add(crystal)
            self.serial = serial
        for serial, crystal_id, position in retired:
            self._retire(crystal_id, position)
            self.retired_serial = serial
        if crystals or retired:
            self._views.clear()

    def _add(self, crystal: Crystal) -> None:
        number = self.by_id[crystal.id] = len(self.crystals)
        self.crystals.append(crystal)
        salience = round(crystal.salience * SIXTEENTHS)
        columns = (crystal.born, _NEVER, LAYERS.index(crystal.layer), crystal.tokens, salience)
        self._sealed.extend([np.array([value]) for value in columns])
        if crystal.layer is Layer.UNIT:
            self.units.append(crystal)
            self._unit.rows[0][_find(self._log.rows[0], _positions(crystal))] = number
        elif crystal.layer is Layer.ATOM and crystal.key is not None:
            self.live_atoms[crystal.key] = crystal

    def _retire(self, crystal_id: str, position: int) -> None:
        self.retired[crystal_id] = position
        number = self.by_id[crystal_id]
        self._sealed.rows[1][number] = position
        key = self.crystals[number].key
        if key is not None and key in self.live_atoms and self.live_atoms[key].id == crystal_id:
            del self.live_atoms[key]

    def add_states(self, states: Sequence[tuple[int, State]], watermark: int) -> None:
        """Take in published states, and drop what was read ahead of the watermark before it got there."""
        if states or watermark > self.sealed_upto:
            self.timeline.seal([state for _, state in states], watermark)
            self.states_serial = states[-1][0] if states else self.states_serial
            self.sealed_upto = watermark
            self._views.clear()
        if self.read_upto < watermark:
            self.read_upto, self.runs = watermark, None

    def unread(self, as_of: int) -> np.ndarray:
        """Rows of the log up to a position whose states are neither sealed nor read; none where too many are not."""
        position = self._log.rows[0]
        sealed, first, last = np.searchsorted(position, (self.sealed_upto, self.read_upto, as_of), "right").tolist()
        return np.arange(first, last) if last - sealed <= AHEAD else np.arange(0)

    def read_ahead(self, states: Sequence[State], upto: int, runs: dict[str, dict[str, Any]]) -> None:
        """Take in the states of steps up to a log position that are not crystallized yet."""
        self.timeline.read_ahead(states)
        self.read_upto, self.runs = upto, runs
        self._views.clear()

    def add_codes(self, codes: Sequence[tuple[int, Codes]]) -> None:
        for serial, rows in codes:
            self.coded[rows.crystal] = rows
            self.codes_serial = serial

    def uncoded(self, joined: bool) -> list[Crystal]:
        """Units without codes of this memory's encoder. joined: a code stands for the units before it as well."""
        if joined:
            return list(itertools.takewhile(lambda unit: unit.id not in self.coded, reversed(self.units)))[::-1]
        return [] if len(self.coded) == len(self.units) else [u for u in self.units if u.id not in self.coded]

    # ---- reading -------------------------------------------------------------------------------------------------

    def exists(self, crystal: Crystal, as_of: int) -> bool:
        """Whether a crystal is born and not retired as of a log position."""
        return crystal.born <= as_of < self.retired.get(crystal.id, _NEVER)

    def live(self, as_of: int) -> np.ndarray:
        """Which crystals exist as of a log position, bool [crystals]."""
        born, retired = self._sealed.rows[:2]
        return np.asarray((born <= as_of) & (as_of < retired))

    def tokens(self, layer: Layer) -> np.ndarray:
        """Tokens of each crystal of a layer that exists at the end of the log."""
        layers, tokens = self._sealed.rows[2:4]
        return np.asarray(tokens[self.live(self.head) & (layers == LAYERS.index(layer))])

    def view(self, as_of: int) -> View:
        """The namespace as of a log position; the newest few views are kept."""
        if as_of not in self._views:
            while len(self._views) >= 4:
                self._views.pop(next(iter(self._views)))
            self._views[as_of] = self._view(as_of)
        return self._views[as_of]

    def last(self, as_of: int) -> int:
        """The last log position up to another; 0 for none."""
        position = self._log.rows[0]
        count = int(np.searchsorted(position, as_of, "right"))
        return int(position[count - 1]) if count else 0

    def positions(self, after: int = 0) -> np.ndarray:
        """Log positions of every record after one, int64."""
        position = self._log.rows[0]
        return np.asarray(position[np.searchsorted(position, after, "right") :])

    def dense(self) -> Dense:
        """The codes of every unit, with the steps they stand for."""
        if not self._codes.gather(self.units, self.coded):
            self._codes = _Codes()
            self._codes.gather(self.units, self.coded)
        return self._codes.dense

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
        live = self._shown(self.live(as_of), position)
        late = np.count_nonzero((columns.position > self.sealed_upto) & (columns.position <= as_of)) > AHEAD
        unit = self._unit.rows[0][keep]
        unit = np.where(np.append(live, False)[unit], unit, -1)
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
            uses=_count(self._uses.rows, as_of, position),
            pinned=_count(self._pins.rows, as_of, position) > 0,
            unit=unit,
            salience=np.append(self._sealed.rows[4] / SIXTEENTHS, 1.0)[unit],
            episodes=episodes,
            episode_terms=[self._episode_terms.get(e.id, []) for e in episodes],
            goal_terms=[self._goal_terms.get(e.id, []) for e in episodes],
            actors=self.names,
            crystals=self.crystals,
            live=live,
            bags={self.namespace: self._bags},
            stated=cache(lambda: self.timeline.cut(position, episode, self.sealed_upto if late else as_of)),
        )

    def _episode(self, name: int, as_of: int) -> Episode:
        known = self.episodes[self.names[name]]
        if known.ended is not None and known.ended > as_of:
            return known.model_copy(update={"ended": None})
        return known

    def _shown(self, live: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Without the crystals that hold words of a step that is hidden."""
        if not self._hidden:
            return live
        shown = set(position.tolist())
        whole = (all(span.position in shown for span in crystal.spans) for crystal in self.crystals)
        return np.asarray(live & np.fromiter(whole, bool, len(live)))


class _Codes:
    """The codes of units laid out for a scan, gathered as they come."""

    def __init__(self) -> None:
        self._units = self._known = 0
        self._sources: list[np.ndarray] = []
        self._parts: tuple[list[np.ndarray], ...] = (
            [np.zeros((0, 96), np.uint8)], *([np.zeros(0, np.int64)] for _ in range(3)),
        )  # fmt: skip
        self._size = 0

    def gather(self, units: Sequence[Crystal], coded: Mapping[str, Codes]) -> bool:
        """Take in the units that got codes since; False if one got its codes after a later one."""
        if len(coded) == self._known:
            return True
        for number in range(self._units, len(units)):
            unit, codes = units[number], coded.get(units[number].id)
            self._sources.append(_positions(unit))
            if codes is not None:
                self._take(unit, codes)
        self._units = len(units)
        return self._known == len(coded)

    def _take(self, unit: Crystal, codes: Codes) -> None:
        """A code may also stand for the units without one that were sealed before."""
        steps, self._sources = np.concatenate(self._sources), []
        rows, born, owner, position = self._parts
        for first, last in zip(codes.first, codes.last, strict=True):
            inside = steps[(steps >= first) & (steps <= last)]
            owner.append(np.full(len(inside), self._size, np.int64))
            position.append(inside)
            born.append(np.array([unit.born], np.int64))
            self._size += 1
        rows.append(codes.rows)
        self._known += 1

    @property
    def dense(self) -> Dense:
        for part in self._parts:
            if len(part) > 1:
                part[:] = [np.concatenate(part)]
        return Dense(*(part[0] for part in self._parts))


def _positions(unit: Crystal) -> np.ndarray:
    return np.array([step_position(source) for source in unit.sources], np.int64)


def _find(haystack: np.ndarray, needles: np.ndarray) -> np.ndarray:
    """Where the needles stand in a sorted array; absent ones left out."""
    at = np.searchsorted(haystack, needles)
    known = at < len(haystack)
    at = at[known]
    return np.asarray(at[haystack[at] == needles[known]])


def _count(events: np.ndarray, as_of: int, position: np.ndarray) -> np.ndarray:
    """How many events up to a log position there are of each step."""
    at, steps = events
    return np.bincount(_find(position, steps[at <= as_of]), minlength=len(position))


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
