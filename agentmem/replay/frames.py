"""The frames of a stored episode: a sequence of which each member is made when one asks for it.

Knows a memory, of which it reads the columns of the log at the beginning, and after that the steps one looks at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from operator import index as as_number
from typing import Any, overload

import numpy as np

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.index import STEP, Index, step_id, step_position
from agentmem.memory import Memory, check_memory, checks
from agentmem.memory.recalling import layers_of, query_of
from agentmem.records import brief, check_id, step_of
from agentmem.replay import plain
from agentmem.replay.between import Event, Retired, events_of, formed, retired
from agentmem.replay.recalled import Put, Recall, Recaller
from agentmem.tokens import check_budget
from agentmem.types import KINDS, RECORD_TYPES, CountTokens, Crystal, Episode, Frozen, Layer, Record, Step

BUDGET = 1024
CHUNK = 256  # steps that are read at once
RECALL = RECORD_TYPES.index("recall")
EVENTS = [RECORD_TYPES.index(name) for name in ("forget", "restore", "pin")]


class Frame(Frozen):
    """One step and what memory had to do with it.

    number: from 0. recalls: the planning contexts made after the step before, which the step could draw on. formed,
    retired: crystals of the namespace, since the frame before; crystallized: whether that is all, or the log has not
    been crystallized as far as this step yet. events: what was forgotten, restored and pinned since the frame before.
    erased: how many records of the file, in whichever namespace, were erased from the log there.
    """

    number: int
    step: Step
    recalls: tuple[Recall, ...]
    formed: tuple[Crystal, ...]
    retired: tuple[Retired, ...]
    crystallized: bool
    events: tuple[Event, ...]
    erased: int

    def data(self) -> dict[str, Any]:
        """The frame as plain JSON values: see docs/replay.md for the form, its bounds and its version."""
        return plain.frame(self)

    def to_json(self) -> str:
        """`data` as one line of JSON in ASCII, without "<": it can stand in a terminal, and in a script of a page."""
        return plain.to_json(self.data())


class Tail(Frozen):
    """What came after the last step, until the episode ended, or else until the end of the log."""

    recalls: tuple[Recall, ...]
    formed: tuple[Crystal, ...]
    retired: tuple[Retired, ...]
    events: tuple[Event, ...]

    def data(self) -> dict[str, Any]:
        """As plain JSON values, in the form of a frame's."""
        return plain.tail(self)


class Frames(Sequence[Frame]):
    """See `replay`. `episode` is the one played, None for all of a namespace; `len` costs nothing.

    What is logged later is not in it; after an erasure it raises NotFoundError, and is to be opened again.
    """

    def __init__(
        self,
        memory: Memory,
        episode: Episode | None,
        cue: str | None,
        budget: int | None,
        layers: Sequence[Layer] | None,
        count_tokens: CountTokens | None,
    ) -> None:
        self.memory, self.episode = memory, episode
        self._cue, self._budget, self._layers, self._count = cue, budget, layers, count_tokens
        self._recaller = Recaller(memory, count_tokens)
        core = memory._core
        with core.lock:
            self._take(core.index(memory.namespace))

    def _take(self, index: Index) -> None:
        """What of the log is looked up by place: all of it arrays of log positions."""
        columns, name = index.columns, self.episode and self.episode.id
        mine = columns.episode > 0
        if name is not None:
            mine = np.isin(columns.episode, [number for number, known in index.names.items() if known == name])
        steps, recalls = mine & (columns.type == STEP), mine & (columns.type == RECALL)
        self._steps, self._kinds = columns.position[steps].copy(), columns.kind[steps].copy()
        self._events = columns.position[np.isin(columns.type, EVENTS)].copy()
        at = columns.position[recalls].copy()
        owner = _next_of_same(columns.episode[steps], self._steps, columns.episode[recalls], at)
        order = np.argsort(owner, kind="stable")
        self._recalls, self._owner = at[order], owner[order]
        self._goals = {one.id: one.goal for one in index.episodes.values()}
        self.generation, self.watermark, self.end = index.generation, index.watermark, index.head

    # ---- a sequence ----------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._steps)

    @overload
    def __getitem__(self, number: int) -> Frame: ...
    @overload
    def __getitem__(self, number: slice) -> list[Frame]: ...
    def __getitem__(self, number: int | slice) -> Frame | list[Frame]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        at = self._at(number)
        position, before = int(self._steps[at]), self._before(at)
        recalls = self._recalls_of(at)
        index = self._index()
        with self.memory._core.lock:
            crystals = formed(index, before, min(position, self.watermark))
            gone = retired(index, before, min(position, self.watermark))
        return Frame(
            number=at,
            step=self.step(at),
            recalls=recalls,
            formed=crystals,
            retired=gone,
            crystallized=position <= self.watermark,
            events=self._events_in(before, position),
            erased=self._erased(before, position),
        )

    def _at(self, number: int) -> int:
        """The number of a frame, counted from the first on."""
        try:
            given = as_number(number)
        except TypeError:
            raise InvalidInputError(
                f"frame {brief(number)} is no number; give one from 0, or what number_of(step) gives of a step's id"
            ) from None
        at = given + len(self) if given < 0 else given
        if not 0 <= at < len(self):
            there = f"{len(self):,}, from 0 to {len(self) - 1:,}" if len(self) else "none"
            raise IndexError(f"there is no frame {given}: the replay has {there}")
        return at

    def __iter__(self) -> Iterator[Frame]:
        return (self[number] for number in range(len(self)))

    @property
    def recalls(self) -> int:
        """How many recalls the log has of it."""
        return len(self._recalls)

    def step(self, number: int) -> Step:
        """The step of a frame, alone."""
        (record,) = self._read([int(self._steps[self._at(number)])])
        return step_of(record)

    def steps(self, first: int = 0, last: int | None = None) -> Iterator[Step]:
        """The steps of all frames, or of those from one number to before another, in order."""
        end = len(self) if last is None else min(last, len(self))
        for start in range(first, end, CHUNK):
            yield from map(step_of, self._read(self._steps[start : min(start + CHUNK, end)].tolist()))

    def is_of(self, other: Frames) -> bool:
        """Whether both play the same steps of one memory."""
        mine, others = self.memory, other.memory
        there = mine._core is others._core and mine.namespace == others.namespace
        return there and np.array_equal(self._steps, other._steps)

    def kind(self, number: int) -> str:
        """Of the step of a frame: "observation", "action" or "message"."""
        return KINDS[int(self._kinds[self._at(number)])]

    def number_of(self, step: str) -> int:
        """The number of the frame of the step with an id; NotFoundError if it is not one of these."""
        position = step_position(check_id("step", step))
        at = int(np.searchsorted(self._steps, position))
        if at == len(self) or self._steps[at] != position:
            where = f"episode {self.episode.id!r}" if self.episode else "this namespace"
            ends = f"; its steps go from {self._id(0)} to {self._id(-1)}" if len(self) else ", which has no steps"
            raise NotFoundError(f"step {brief(step)} is not in {where}{ends}")
        return at

    def _id(self, number: int) -> str:
        return step_id(int(self._steps[number]))

    # ---- recalls -------------------------------------------------------------------------------------------------

    def recall(
        self,
        number: int,
        cue: str | None = None,
        budget: int | None = None,
        layers: Sequence[Layer | str] | None = None,
    ) -> Recall:
        """What memory would have recalled just before a step for another cue or budget, or from layers alone.

        What is not given is as in the frame's last recall; without one, the budget is 1,024 and a cue is needed.
        It is asked as of that recall, or else as of the log position before the step. Raises InvalidInputError.
        """
        number = self._at(number)
        owned = self._records_of(number)
        put = self._put_of(owned[-1]) if owned else None
        if put is None:
            put = self._put_before(number, cue)
        query = put.query
        if budget is not None:
            check_budget(budget)
            query = replace(query, budget=budget)
        if cue is not None:
            query = replace(query, cue=query_of(cue, 0, None, None, None, None, False).cue)
        if layers is not None:
            query = replace(query, layers=layers_of(layers))
        return self._recaller.run(replace(put, query=query))

    def _put_before(self, number: int, cue: str | None) -> Put:
        """A recall as its episode would have made it before a step."""
        (record,) = self._read([int(self._steps[number])])
        if cue is None:
            raise InvalidInputError(f"nothing was recalled before step {step_id(record.position)}: give a cue")
        goal = self._goals.get(record.episode or "")
        query = query_of(cue, BUDGET, self._count, None, None, None, False, current=record.episode, goal=goal)
        return Put(self.memory.namespaces, query, record.position - 1, None, self.memory._core.code_id)

    def _put_of(self, record: Record) -> Put | None:
        return self._recaller.put_of(record, self._goals.get(record.episode or ""))

    def _records_of(self, number: int) -> list[Record]:
        first, last = np.searchsorted(self._owner, [number, number + 1])
        return self._read(self._recalls[first:last].tolist())

    def _recalls_of(self, number: int) -> tuple[Recall, ...]:
        otherwise = (self._cue, self._budget, self._layers)
        records = self._records_of(number)
        if otherwise == (None, None, None):
            return tuple(self._recaller.again(record, self._goals.get(record.episode or "")) for record in records)
        asked = number < len(self) and (records or self._cue is not None)
        return (self.recall(number, *otherwise),) if asked else ()

    # ---- between steps -------------------------------------------------------------------------------------------

    def _before(self, number: int) -> int:
        """The log position of the frame before, or where the episode began."""
        if number:
            return int(self._steps[number - 1])
        return min(self.episode.began, int(self._steps[0])) if self.episode else 0

    def _events_in(self, after: int, upto: int) -> tuple[Event, ...]:
        first, last = np.searchsorted(self._events, [after, upto], "right")
        return events_of(self._read(self._events[first:last].tolist()))

    def _erased(self, after: int, upto: int) -> int:
        there = self._everything
        if there is None:
            return 0
        first, last = np.searchsorted(there, [after, upto], "right")
        return upto - after - int(last - first)

    @cached_property
    def _everything(self) -> np.ndarray | None:
        """The log positions of all namespaces; None where nothing was ever erased."""
        store = self.memory._core.store
        return store.columns(None).position if store.head().erasures else None

    @property
    def tail(self) -> Tail:
        """What came after the last step."""
        ended = self.episode.ended if self.episode else None
        upto = self.end if ended is None else ended
        after = int(self._steps[-1]) if len(self) else (self.episode.began if self.episode else 0)
        index = self._index()
        with self.memory._core.lock:
            crystals, gone = formed(index, after, upto), retired(index, after, upto)
        recalls, events = self._recalls_of(len(self)), self._events_in(after, upto)
        return Tail(recalls=recalls, formed=crystals, retired=gone, events=events)

    # ---- reading -------------------------------------------------------------------------------------------------

    def data(self) -> dict[str, Any]:
        """What is played, as plain JSON values; its frames are not in it."""
        return plain.header(self)

    def _index(self) -> Index:
        core, namespace = self.memory._core, self.memory.namespace
        with core.lock:
            index = core.held(namespace)
        if index.generation != self.generation or not core.unchanged({namespace: self.generation}):
            raise NotFoundError("steps were erased or written anew since the replay was opened; open it again")
        return index

    def _read(self, positions: Sequence[int]) -> list[Record]:
        if not positions:
            return []
        try:
            return self.memory._core.store.read(positions)
        except NotFoundError as error:
            raise NotFoundError(f"{error}, since the replay was opened: open it again") from error


def _next_of_same(episode: np.ndarray, steps: np.ndarray, of: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Which step comes next in the episode of each recall: its number among the steps, or how many there are for none.

    episode, steps: of each step; of, at: of each recall: the episode's number, and the log position.
    """
    order = np.lexsort((steps, episode))
    place = np.searchsorted(_key(episode, steps)[order], _key(of, at))
    found = np.append(order, len(steps))[place]
    return np.asarray(np.where(np.append(episode, -1)[found] == of, found, len(steps)))


def _key(episode: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Sorts by episode, then by log position."""
    return np.asarray(episode.astype(np.int64) << 40 | position)


def replay(
    memory: Memory,
    episode_id: str | None,
    *,
    cue: str | None = None,
    budget: int | None = None,
    layers: Sequence[Layer | str] | None = None,
    count_tokens: CountTokens | None = None,
) -> Frames:
    """The frames of an episode, each made when one looks at it; of None, of all episodes of the namespace as they
    interleave, as a rollout logs a shift.

    cue, budget, layers: what would have been recalled with these in place of what was; with a cue, before every step.
    count_tokens: the counter of recalls that were counted by a counter of the caller's own. Raises NotFoundError for an
    episode that never began, InvalidInputError for values that cannot be.
    """
    check_memory(memory)
    checks.check_filters(memory._core, [memory.namespace], episode_id)
    if cue is not None or budget is not None:
        query_of("" if cue is None else cue, BUDGET if budget is None else budget, None, None, None, None, False)
    if count_tokens is not None:
        checks.check_function("count_tokens", count_tokens, "from text to tokens, such as len")
    known = {one.id: one for one in memory.episodes()}
    episode = None if episode_id is None else known[episode_id]
    memory._accessed("replay", episode_id)
    return Frames(memory, episode, cue, budget, layers_of(layers), count_tokens)
