"""What there is in a namespace as of a log position, and what leads from one to another, before any step is read.

Knows the index and the crystals of a memory, and its recall records one at a time; knows no steps' texts, and so no
subjects. What is forgotten is not in it; what is retired is, and says so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from agentmem.graph.names import episode_id, recall_id
from agentmem.index import STEP, Index, View, step_id, step_position
from agentmem.memory.core import Core
from agentmem.memory.recalling import shown_by
from agentmem.types import RECORD_TYPES, Crystal, Episode, Layer, Namespace

BEGIN, END, RECALL = map(RECORD_TYPES.index, ("begin", "end", "recall"))
SLICE = 2_000  # records that are read at once


class Asked(NamedTuple):
    """What a graph is of: checked arguments of `memory_graph`. abroad: with what recalls showed of other episodes."""

    as_of: int
    kinds: tuple[str, ...]
    episode: str | None
    agent: str | None
    newest: int | None
    abroad: bool = False


class Node(NamedTuple):
    """x: the log position where its middle is. episode: the name of the one that it is of, if it is of one."""

    id: str
    kind: str
    position: int
    born: int
    x: float
    episode: str | None = None
    retired: int | None = None


class Link(NamedTuple):
    source: str
    target: str
    kind: str


class Turn(NamedTuple):
    """That an episode began, went on or ended at a log position."""

    position: int
    episode: str
    ends: bool


@dataclass
class Outline:
    """Nodes by id and the links among them. recalled: how many recalls showed what. steps: of an episode, how many
    there are; turns: in log order. abroad: the nodes that are there only because they were recalled."""

    view: View
    nodes: dict[str, Node] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    crystals: dict[str, Crystal] = field(default_factory=dict)
    episodes: dict[str, Episode] = field(default_factory=dict)
    recalled: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    turns: list[Turn] = field(default_factory=list)
    abroad: set[str] = field(default_factory=set)

    def add(self, node: Node) -> None:
        self.nodes[node.id] = node

    def link(self, source: str, target: str, kind: str) -> None:
        """If both are there."""
        if source in self.nodes and target in self.nodes:
            self.links.append(Link(source, target, kind))


def outline(core: Core, namespace: Namespace, asked: Asked) -> Outline:
    """Hold `core.lock`."""
    view, index = core.view([namespace], asked.as_of), core.held(namespace)
    made = Outline(view)
    steps = _steps(view, asked)
    _add_episodes(made, index, asked, steps)
    _add_steps(made, steps, asked)
    under = _add_crystals(made, index, asked, steps)
    recalls = list(_recalls(core, index, made, asked, steps))
    if asked.abroad:
        _add_abroad(made, index, asked, under, {hit for recall in recalls for hit in recall.hits})
    _link_steps(made, steps)
    _link_crystals(made, under)
    _link_recalls(made, recalls, steps)
    return made


# ---- what there is -------------------------------------------------------------------------------------------------


def _steps(view: View, asked: Asked) -> np.ndarray:
    """Rows of the view that are asked for."""
    chosen = [
        (asked.episode is None or one.id == asked.episode) and (asked.agent is None or one.agent == asked.agent)
        for one in view.episodes
    ]
    rows = np.flatnonzero(np.array([*chosen, False])[view.episode])
    return rows if asked.newest is None else rows[max(0, len(rows) - asked.newest) :]


def _add_episodes(made: Outline, index: Index, asked: Asked, steps: np.ndarray) -> None:
    """Those of the steps, and, if not only the newest are asked for, those without any that fit."""
    view, log = made.view, index.columns
    there = log.position <= asked.as_of
    logged = {index.names[name] for name in np.unique(log.episode[there & (log.type == STEP)]).tolist()}
    used = {view.episodes[number].id for number in np.unique(view.episode[steps]).tolist()}
    turns, ended = _turns(index, asked.as_of)
    for name, known in index.episodes.items():
        empty = name not in logged and known.began <= asked.as_of and asked.newest is None
        fits = asked.episode in (None, name) and asked.agent in (None, known.agent)
        if name in used or (empty and fits):
            made.episodes[name] = known.model_copy(update={"ended": ended.get(name)})
            if "episode" in asked.kinds:
                made.add(Node(episode_id(name), "episode", known.began, known.began, known.began, name))
    made.steps.update(view.episodes[number].id for number in view.episode.tolist())
    made.turns = [turn for turn in turns if turn.episode in made.episodes]


def _turns(index: Index, as_of: int) -> tuple[list[Turn], dict[str, int]]:
    """(what episodes did up to a log position, the end of those that have ended by then)."""
    log = index.columns
    rows = np.flatnonzero(((log.type == BEGIN) | (log.type == END)) & (log.position <= as_of))
    columns = (log.position[rows].tolist(), log.episode[rows].tolist(), (log.type[rows] == END).tolist())
    found = [Turn(position, index.names[name], ends) for position, name, ends in zip(*columns, strict=True)]
    begun = {turn.episode for turn in found}
    lost = [Turn(known.began, name, False) for name, known in index.episodes.items() if name not in begun]
    turns = sorted([*found, *lost])
    last = {turn.episode: turn for turn in turns}
    return turns, {name: turn.position for name, turn in last.items() if turn.ends}


def _add_steps(made: Outline, steps: np.ndarray, asked: Asked) -> None:
    if "step" not in asked.kinds:
        return
    view = made.view
    for position, number in zip(view.position[steps].tolist(), view.episode[steps].tolist(), strict=True):
        made.add(Node(step_id(position), "step", position, position, position, view.episodes[number].id))


def _add_crystals(made: Outline, index: Index, asked: Asked, steps: np.ndarray) -> dict[str, list[int]]:
    """Those that condense one of the steps, retired ones too; returns log positions by id, of all crystals."""
    view, under, episode_of = made.view, _under(index), _episode_of(made.view)
    wanted, whole = set(view.position[steps].tolist()), len(steps) == len(view.position)
    for number in np.flatnonzero(_formed(view, index, asked)).tolist():
        crystal = index.crystals[number]
        mine = under[crystal.id]
        if crystal.layer in asked.kinds and (whole or not wanted.isdisjoint(mine)):
            _add_crystal(made, index, asked, number, mine, episode_of)
    return under


def _formed(view: View, index: Index, asked: Asked) -> np.ndarray:
    """Which crystals there are, those that were retired too: bool [crystals]."""
    there: np.ndarray = index.sealed.columns.rows[0] <= asked.as_of
    return index.sealed.shown(there, view.position) if index.hides else there


def _episode_of(view: View) -> dict[int, str]:
    """Log position of a step -> its episode."""
    names = (view.episodes[number].id for number in view.episode.tolist())
    return dict(zip(view.position.tolist(), names, strict=True))


def _add_crystal(
    made: Outline, index: Index, asked: Asked, number: int, mine: list[int], episode_of: dict[int, str]
) -> None:
    """mine: log positions of the steps that it condenses."""
    crystal, retired = index.crystals[number], int(index.sealed.columns.rows[1][number])
    made.crystals[crystal.id] = crystal
    episodes = {episode_of[position] for position in mine if position in episode_of}
    episode = episodes.pop() if len(episodes) == 1 else None
    middle = round(sum(mine) / len(mine), 2)
    gone = retired if retired <= asked.as_of else None
    made.add(Node(crystal.id, crystal.layer.value, crystal.covers[1], crystal.born, middle, episode, gone))


def _add_abroad(made: Outline, index: Index, asked: Asked, under: dict[str, list[int]], hits: set[str]) -> None:
    """Those of some steps and crystals that are not there yet, and not forgotten."""
    episode_of, formed = _episode_of(made.view), _formed(made.view, index, asked)
    for hit in sorted(hits - made.nodes.keys()):
        number = index.by_id.get(hit)
        if number is not None and formed[number]:
            _add_crystal(made, index, asked, number, under[hit], episode_of)
            made.abroad.add(hit)
        elif (position := step_position(hit)) in episode_of:
            made.add(Node(hit, "step", position, position, position, episode_of[position]))
            made.abroad.add(hit)


def _under(index: Index) -> dict[str, list[int]]:
    """Crystal id -> log positions of the steps that it condenses: see `Memory.expand`."""
    found: dict[str, list[int]] = {}
    numbers = np.arange(len(index.crystals) + 1)
    rows = {Layer.UNIT: index.sealed.steps.rows, Layer.ATOM: index.sealed.held.rows}
    begins = {layer: np.searchsorted(own[0], numbers).tolist() for layer, own in rows.items()}
    for number, crystal in enumerate(index.crystals):
        if crystal.layer is Layer.CLUSTER:
            found[crystal.id] = sorted({position for unit in crystal.sources for position in found[unit]})
        else:
            begin, end = begins[crystal.layer][number : number + 2]
            found[crystal.id] = sorted(set(rows[crystal.layer][1, begin:end].tolist()))
    return found


class Recall(NamedTuple):
    position: int
    episode: str
    hits: list[str]


def _recalls(core: Core, index: Index, made: Outline, asked: Asked, steps: np.ndarray) -> Iterator[Recall]:
    """Adds those of the episodes, from the first of the steps on, if only the newest are asked for."""
    first = int(made.view.position[steps[0]]) if asked.newest is not None and len(steps) else 0
    log = index.columns
    rows = np.flatnonzero((log.type == RECALL) & (log.position <= asked.as_of))
    for start in range(0, len(rows), SLICE):
        for record in core.store.read(log.position[rows[start : start + SLICE]].tolist()):
            hits = list(dict.fromkeys(shown_by(record).hits))
            made.recalled.update(hits)
            if "recall" in asked.kinds and record.episode in made.episodes and record.position >= first:
                name = recall_id(record.position)
                made.add(Node(name, "recall", record.position, record.position, record.position, record.episode))
                yield Recall(record.position, record.episode, hits)


# ---- what leads where ----------------------------------------------------------------------------------------------


def _link_steps(made: Outline, steps: np.ndarray) -> None:
    view = made.view
    after = view.next[steps]
    pairs = zip(view.position[steps].tolist(), np.where(after < 0, 0, view.position[after]).tolist(), strict=True)
    for position, later in pairs:
        if later:
            made.link(step_id(position), step_id(later), "next")
    for node in list(made.nodes.values()):
        if node.kind in ("step", "recall") and node.episode is not None:
            made.link(node.id, episode_id(node.episode), "part_of")


def _link_crystals(made: Outline, under: dict[str, list[int]]) -> None:
    keyed: dict[str, list[Crystal]] = defaultdict(list)
    for crystal in made.crystals.values():
        if crystal.layer is Layer.CLUSTER:
            below = dict.fromkeys(one for unit in crystal.sources for one in _below(unit, made.nodes, under))
        else:
            below = dict.fromkeys(map(step_id, under[crystal.id]))
        for source in below:
            made.link(crystal.id, source, "sources")
        if crystal.layer is Layer.ATOM:
            made.link(crystal.id, crystal.sources[0], "sealed_with")
            keyed[crystal.key or ""].append(crystal)
    for atoms in (atoms for key, atoms in keyed.items() if key):
        for older, newer in pairwise(atoms):
            if made.nodes[older.id].retired == newer.born:
                made.link(newer.id, older.id, "supersedes")


def _below(unit: str, nodes: Collection[str], under: dict[str, list[int]]) -> list[str]:
    """A unit; its steps, where it is not shown."""
    return [unit] if unit in nodes else list(map(step_id, under[unit]))


def _link_recalls(made: Outline, recalls: list[Recall], steps: np.ndarray) -> None:
    places: dict[str, list[int]] = defaultdict(list)
    view = made.view
    for position, number in zip(view.position[steps].tolist(), view.episode[steps].tolist(), strict=True):
        places[view.episodes[number].id].append(position)
    for recall in recalls:
        for hit in recall.hits:
            made.link(hit, recall_id(recall.position), "recalled_by")
        mine = places[recall.episode]
        at = bisect_right(mine, recall.position)
        if at < len(mine):
            made.link(recall_id(recall.position), step_id(mine[at]), "shown_to")
