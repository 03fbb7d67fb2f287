"""What of a memory a server shows: the steps of a namespace, or of one agent's episodes in it, but for forgotten ones.

Knows a memory and who may be shown what; knows no protocol. Fixed when the server starts: no argument can widen it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import quote

import numpy as np

from agentmem.errors import NotFoundError
from agentmem.index import STEP, Index, step_position
from agentmem.memory import Memory
from agentmem.memory.checks import instead
from agentmem.memory.core import Core
from agentmem.memory.recalling import moment_of
from agentmem.memory.removal import behind, lineage
from agentmem.records import brief, check_name, step_of
from agentmem.types import Crystal, Episode, Namespace, PlanningContext, Step

EVERYONE = "all"
"""In place of an agent's name in URIs, where a server shows all of a namespace."""


class Rows(NamedTuple):
    """Steps that may be shown, in log order: int64 [n] each."""

    position: np.ndarray
    tokens: np.ndarray


class Scope:
    """The namespace of a memory, or with `agent` the episodes of that agent in it."""

    def __init__(self, memory: Memory, agent: str | None = None) -> None:
        self.memory = memory.acting("mcp" if agent is None else f"mcp {agent}")
        self.agent = None if agent is None else check_name("agent", agent)
        self.name = EVERYONE if agent is None else quote(agent, safe="")
        self.keys = f"mcp/{(agent or '').replace('%', '%25').replace('/', '%2F')}/"
        """How the keys of its events begin; no other agent's begin so."""

    # ---- episodes ------------------------------------------------------------------------------------------------

    def episodes(self) -> list[Episode]:
        """In the order they began."""
        return [each for each in self.memory.episodes() if self.agent is None or each.agent == self.agent]

    def episode(self, id: str) -> Episode:
        """NotFoundError, with the nearest names, for one that is not there or not shown."""
        known = {each.id: each for each in self.episodes()}
        if id not in known:
            raise NotFoundError(f"there is no episode {brief(id)}; {instead(id, list(reversed(known)))}")
        return known[id]

    # ---- steps ---------------------------------------------------------------------------------------------------

    def rows(self, episode: str | None = None, forgotten: bool = False) -> Rows:
        """The steps that may be shown, or an episode's. forgotten: those as well that were taken out of recall."""
        with self.memory._core.lock:
            index = self.memory._core.index(self.memory.namespace)
            columns = index.columns
            wanted = columns.type == STEP
            if episode is not None or self.agent is not None:
                ids = {episode} if episode is not None else {each.id for each in self.episodes()}
                names = [number for number, name in index.names.items() if name in ids]
                wanted &= np.isin(columns.episode, names)
            if not forgotten:
                wanted &= ~np.isin(columns.position, _hidden(index))
            return Rows(columns.position[wanted], columns.tokens[wanted])

    def read(self, positions: np.ndarray, what: str, *told: str | None) -> list[Step]:
        """The steps at log positions, but for what was erased meanwhile. what, told: as the access is noted."""
        core = self.memory._accessed(what, *told)
        return list(map(step_of, core.read_what_is_there(positions.tolist())))

    def behind(self, id: str) -> list[Step]:
        """The step of an id, or the steps a crystal condenses; NotFoundError where none of them may be shown."""
        return self.read(self._of(id, behind, forgotten=False), "expand", id)

    def derived(self, id: str) -> list[Step]:
        """What forgetting an id takes: an episode's steps, a crystal's, or a step and those that repeat it."""
        if any(each.id == id for each in self.episodes()):
            return self.read(self.rows(id, forgotten=True).position, "steps", id)
        return self.read(self._of(id, lineage, forgotten=True), "expand", id)

    def _of(self, id: str, steps_of: Callable[[Core, Namespace, str], list[int]], forgotten: bool) -> np.ndarray:
        core, namespace = self.memory._core, self.memory.namespace
        with core.lock:
            shown = self.rows(forgotten=forgotten).position
            known = id in core.index(namespace).by_id or step_position(id) in shown
            found = np.intersect1d(steps_of(core, namespace, id), shown) if known else shown[:0]
        if len(found):
            return found
        raise NotFoundError(f"there is no step or crystal {brief(id)}; planning contexts have their ids in <>")

    # ---- erasure -------------------------------------------------------------------------------------------------

    def intact(self, contexts: Iterable[PlanningContext]) -> list[PlanningContext]:
        """Those of these contexts since which nothing was erased, and nothing expired: nothing in them is gone."""
        core = self.memory._core
        with core.lock:
            now = [(index.generation, index.expiry) for index in map(core.index, self.memory.namespaces)]
        moments = ((each, moment_of(each.store_version)) for each in contexts)
        return [each for each, then in moments if list(zip(then.generations, then.expiries, strict=True)) == now]

    # ---- crystals ------------------------------------------------------------------------------------------------

    def crystals(self) -> list[Crystal]:
        """Those that hold now, newest first, whose every word may be shown."""
        found = self.memory.crystals()
        shown = set(self.rows().position.tolist())
        return [each for each in reversed(found) if all(span.position in shown for span in each.spans)]


def _hidden(index: Index) -> np.ndarray:
    """Log positions of the steps that are forgotten, and were not restored since, or held out for want of consent, or
    because they have expired."""
    _, hidden, steps = index.hidden.rows
    last = dict(zip(steps.tolist(), hidden.tolist(), strict=True))
    forgotten = np.array([step for step, gone in last.items() if gone], np.int64)
    return np.union1d(forgotten, np.union1d(index.without_consent, index.expired))
