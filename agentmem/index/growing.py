"""The growing image of one namespace: columns, crystals and binary codes as arrays, cut back to any past position.

Knows no store: whoever holds an index feeds it. Taking in what is new costs as much as is new.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agentmem.index.coded import Coded, Dense
from agentmem.index.crystals import LAYERS, NEVER, Load, Loaded, Sealed
from agentmem.index.cut import AHEAD, cut, find
from agentmem.index.grown import Grown
from agentmem.index.held_out import HeldOut
from agentmem.index.ids import AUTOMATIC, STEP
from agentmem.index.ruled import NONE, Ruled, number_of
from agentmem.index.timeline import Timeline
from agentmem.index.view import View
from agentmem.types import Codes, Columns, Crystal, Episode, Layer, Namespace, Outlines, Record, State, Trust, Version
from agentmem.words import stems


class Index:
    """`head` is the last log position it has seen; `watermark` how far its crystals reach. `names` may be shared."""

    def __init__(self, namespace: Namespace, generation: int, names: Mapping[int, str], load: Load) -> None:
        self.namespace, self.generation, self.names = namespace, generation, names
        self.head = self.watermark = self.serial = self.retired_serial = self.codes_serial = 0
        self._position = Grown(1)
        self._columns = Grown(len(Columns._fields) - 1, np.int32)  # but for the position
        self._unit = Grown(1, np.int32)  # per record of the log, the number of the unit that covers it, -1 for none
        self.sealed = Sealed(load)
        self.coded = Coded()
        self.episodes: dict[str, Episode] = {}
        self.episode_terms: dict[str, list[str]] = {}
        self.goal_terms: dict[str, list[str]] = {}
        self.hidden = Grown(3)  # log position of a forgetting (1) or restoring (0), which it was, and of a step
        self.withdrawn: dict[str, tuple[float, list[int] | None]] = {}  # subject -> when, steps held out; None: given
        self.held_out = HeldOut()
        self.ruled = Ruled()
        self.expired = NONE  # sorted log positions of the steps that rules hold out of every recall
        self.expiry = 0  # what tells these from any others
        self.pins = Grown(2)
        self.uses = Grown(2)  # log position of a recall, and of a step it showed
        self._used = Grown(1)  # per record of the log, how many recalls showed it
        self.latest = np.zeros(0)  # per record, the latest time of logging up to it, as far as it was asked for
        self.trusts: dict[str, Trust | None] = {}  # crystal id -> its trust, as far as it was asked for
        self.bags: dict[str, Counter[str]] = {}
        self.timeline = Timeline()
        self.sealed_upto = 0
        self.states_serial = 0
        self.read_upto = 0  # the log position up to which states were read ahead
        self.runs: dict[str, dict[str, Any]] | None = None  # what the states of the next steps depend on
        self._views: dict[tuple[int, int], View] = {}
        self._kept: tuple[np.ndarray, dict[str, Any]] = np.zeros(0), {}

    @property
    def version(self) -> Version:
        """What the store said of this namespace when the index was brought up to it."""
        return Version(self.generation, self.watermark)

    @property
    def columns(self) -> Columns:
        """Every record of the log."""
        return Columns(self._position.rows[0], *self._columns.rows)

    @property
    def unit(self) -> np.ndarray:
        """Per record of the log, the number of the unit that covers it, -1 for none."""
        return np.asarray(self._unit.rows[0])

    def used(self, as_of: int) -> np.ndarray | None:
        """Per record of the log, how many recalls showed it; None as of a log position before the last of those."""
        recalls = self.uses.rows[0]
        return None if recalls.size and recalls[-1] > as_of else np.asarray(self._used.rows[0])

    @property
    def crystals(self) -> Loaded:
        """Every crystal, in the order published; loaded when one is asked for."""
        return self.sealed.crystals

    @property
    def by_id(self) -> Mapping[str, int]:
        """Crystal id -> its index in `crystals`."""
        return self.sealed.by_id

    @property
    def retired(self) -> Mapping[str, int]:
        """Crystal id -> the log position that retired it."""
        return self.sealed.retired

    def crystal(self, id: str) -> Crystal:
        """The crystal with an id, which must be one of `by_id`."""
        return self.crystals[self.by_id[id]]

    @property
    def live_atoms(self) -> dict[str, Crystal]:
        """Key -> the newest atom of it, where that is not retired."""
        return self.sealed.live_atoms

    # ---- growing -------------------------------------------------------------------------------------------------

    def extend(self, columns: Columns, events: Sequence[Record]) -> None:
        """Take in newer columns, and the records among them that are not steps."""
        self._position.extend(columns[:1])
        self._columns.extend(columns[1:])
        self._unit.extend([np.full(len(columns.position), -1)])
        self._used.extend([np.zeros(len(columns.position), np.int64)])
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
            steps = body["steps"]
            hide = self.held_out.take(event, body)
            self.hidden.extend([[event.position] * len(steps), hide, steps])
        elif event.type == "consent":
            self._consent(event, body)
        elif event.type in ("rules", "hold", "erased"):
            self.ruled.take(event, body)
        elif event.type == "pin":
            self.pins.extend([[event.position] * len(body["steps"]), body["steps"]])
        elif event.type == "recall":
            shown = np.array(body["steps"], np.int64)
            self.uses.extend([[event.position] * len(shown), shown])
            np.add.at(self._used.rows[0], find(self._position.rows[0], shown)[0], 1)

    def _consent(self, event: Record, body: Mapping[str, Any]) -> None:
        """What is held out of recall is so whatever moment is asked for: the generation rises with each of these."""
        for subject in body["bars"]:
            if event.logged_at >= self.withdrawn.get(subject, (event.logged_at, None))[0]:
                self.withdrawn[subject] = event.logged_at, None if body["given"] else body["steps"]

    @property
    def without_consent(self) -> np.ndarray:
        """Log positions of the steps about somebody who withdrew consent."""
        steps = {step for _, held in self.withdrawn.values() for step in held or ()}
        return np.array(sorted(steps), np.int64)

    @property
    def hides(self) -> bool:
        """Whether any step is, or was, kept out of recall."""
        return bool(self.hidden.rows.size or self.withdrawn or len(self.expired))

    def expire(self, expired: np.ndarray) -> None:
        """Hold these steps out of every recall, and no others, whatever moment is asked for."""
        if not np.array_equal(expired, self.expired):
            self.expired, self.expiry = expired, number_of(expired)
            self._views.clear()

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
        self.episode_terms[name] = stems(f"{'' if AUTOMATIC.fullmatch(name) else name} {agent or ''}")
        self.goal_terms[name] = stems(goal or "")

    def add_crystals(self, outlines: Outlines, retired: Sequence[tuple[int, str, int]]) -> None:
        if len(outlines.ids):
            first = self.sealed.steps.rows.shape[1]
            self.sealed.add(outlines)
            number, position = self.sealed.steps.rows[:, first:]
            at, known = find(self._position.rows[0], position)
            self.unit[at] = number[known]
            self.serial = int(outlines.serial[-1])
        for serial, crystal_id, position in retired:
            self.sealed.retire(crystal_id, position)
            self.retired_serial = serial
        if len(outlines.ids) or retired:
            self._views.clear()

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
        position = self._position.rows[0]
        sealed, first, last = np.searchsorted(position, (self.sealed_upto, self.read_upto, as_of), "right").tolist()
        return np.arange(first, last) if last - sealed <= AHEAD else np.arange(0)

    def read_ahead(self, states: Sequence[State], upto: int, runs: dict[str, dict[str, Any]]) -> None:
        """Take in the states of steps up to a log position that are not crystallized yet."""
        self.timeline.read_ahead(states)
        self.read_upto, self.runs = upto, runs
        self._views.clear()

    def add_codes(self, codes: Sequence[tuple[int, Codes]]) -> None:
        if codes:
            self.codes_serial = codes[-1][0]
        self.coded.add([rows for _, rows in codes], self.by_id)

    def uncoded(self) -> list[tuple[str, list[int]]]:
        """Units without codes of this memory's encoder: the id of each, and the log positions of its steps."""
        if len(self.coded.units) == len(self.sealed.units):
            return []
        ids, (unit, position) = list(self.by_id), self.sealed.steps.rows
        units = [number for number in self.sealed.units.tolist() if number not in self.coded.units]
        starts, ends = np.searchsorted(unit, units), np.searchsorted(unit, units, "right")
        places = zip(units, starts.tolist(), ends.tolist(), strict=True)
        return [(ids[number], position[start:end].tolist()) for number, start, end in places]

    # ---- reading -------------------------------------------------------------------------------------------------

    def exists(self, crystal: Crystal, as_of: int) -> bool:
        """Whether a crystal is born and not retired as of a log position."""
        return crystal.born <= as_of < self.retired.get(crystal.id, NEVER)

    def tokens(self, layer: Layer) -> np.ndarray:
        """Tokens of each crystal of a layer that exists at the end of the log."""
        layers, tokens = self.sealed.columns.rows[2:4]
        return np.asarray(tokens[self.sealed.live(self.head) & (layers == LAYERS.index(layer))])

    def view(self, as_of: int, sealed: int | None = None) -> View:
        """The namespace as of a log position; the newest few views are kept. sealed: the log position up to which it
        counts as crystallized, by default all that is.
        """
        moment = as_of, as_of if sealed is None else min(as_of, sealed)
        if moment not in self._views:
            while len(self._views) >= 4:
                self._views.pop(next(iter(self._views)))
            self._views[moment] = cut(self, *moment)
        return self._views[moment]

    def kept_of(self, names: np.ndarray) -> dict[str, Any]:
        """What recall keeps of the episodes with these names, as long as they are what the last view had."""
        if not np.array_equal(self._kept[0], names):
            self._kept = names, {}
        return self._kept[1]

    def rolled_back(self, as_of: int) -> frozenset[int]:
        """Log positions of the steps that are rolled back as of one, and were not erased since."""
        gone = np.array(sorted(self.held_out.rolled_back(as_of)), np.int64)
        return frozenset(gone[find(self._position.rows[0], gone)[1]].tolist())

    def last(self, as_of: int) -> int:
        """The last log position up to another; 0 for none."""
        position = self._position.rows[0]
        count = int(np.searchsorted(position, as_of, "right"))
        return int(position[count - 1]) if count else 0

    def positions(self, after: int = 0) -> np.ndarray:
        """Log positions of every record after one, int64."""
        position = self._position.rows[0]
        return np.asarray(position[np.searchsorted(position, after, "right") :])

    def dense(self) -> Dense:
        """The codes of every unit, with the steps they stand for."""
        return self.coded.dense(self.sealed.columns.rows[0], self.sealed.steps.rows)
