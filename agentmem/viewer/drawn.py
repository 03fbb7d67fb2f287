"""The graph of a window of frames, column by column: what a canvas draws. Places are those of `agentmem.graph`.

Along x nodes stand by the number of the frame, so that graph and timeline agree. Knows outlines and places of nodes.
Whom steps are about is read of episodes that are not too long; what atoms name is known without.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from agentmem.graph.entities import entities
from agentmem.graph.filled import entity, filled, subjects_of
from agentmem.graph.layout import places
from agentmem.graph.outline import Asked, Link, Node, Outline, outline
from agentmem.replay import Frames
from agentmem.viewer import asked
from agentmem.viewer.look import Look

KINDS = ("step", "unit", "cluster", "atom", "recall", "episode", "entity")
LINKS = ("sources", "sealed_with", "supersedes", "recalled_by", "shown_to", "about")
MOST = 20_000
"""Nodes of an answer."""
NAMED = 1_500
"""Nodes of an answer that has their labels too."""
READ = 5_000
"""Steps of a graph of which it is read whom they are about."""
BEFORE = -0.4
"""Where an episode stands that began before the first frame."""
ABROAD = -1.0
"""Left of it stands what was recalled of other episodes, the oldest first."""
APART, SHARE = 0.5, 0.25
"""Frames from one of them to the next, and what they take at most of the frames there are, or of LEAST."""
LEAST = 12


class Drawn(NamedTuple):
    """An outline with places, all in columns by x: arrays [n]. number: of the frame; at, gone: of the frames at which a
    node appears and is retired; gone -1: never. names: of entities, as they were first written. begins: the least
    number.
    """

    made: Outline
    names: dict[str, str]
    nodes: list[Node]
    links: list[Link]
    number: np.ndarray
    y: np.ndarray
    at: np.ndarray
    gone: np.ndarray
    begins: float


def graph(look: Look, given: asked.Part) -> dict[str, Any]:
    """Nodes and links of a window; where there are too many, every so many a step, and `left_out` says how many."""
    frames = look.frames(given.namespace, given.episode)
    drawn = look.kept("graph", given.namespace, given.episode, lambda: _drawn(frames))
    last = len(frames) if given.last is None else given.last
    there = np.flatnonzero((drawn.number >= (given.first or drawn.begins)) & (drawn.number <= last))
    chosen = _thinned(drawn, there)
    place = {drawn.nodes[at].id: number for number, at in enumerate(chosen.tolist())}
    links = [
        [place[one.source], place[one.target], LINKS.index(one.kind)]
        for one in drawn.links
        if one.source in place and one.target in place
    ]
    return {
        "count": len(frames),
        "begins": drawn.begins,
        "lanes": np.unique(drawn.y[drawn.y >= 1].astype(int)).tolist(),
        "left_out": len(there) - len(chosen),
        "kinds": list(KINDS),
        "links": list(LINKS),
        "id": list(place),
        "kind": [KINDS.index(drawn.nodes[at].kind) for at in chosen.tolist()],
        "x": drawn.number[chosen].round(2).tolist(),
        "y": drawn.y[chosen].round(3).tolist(),
        "at": drawn.at[chosen].tolist(),
        "gone": drawn.gone[chosen].tolist(),
        "link": links,
        "episode": {at: drawn.nodes[row].episode for at, row in enumerate(chosen.tolist()) if _is_episode(drawn, row)},
        **_told(frames, drawn, list(place)),
    }


def _is_episode(drawn: Drawn, row: int) -> bool:
    return drawn.nodes[row].kind == "episode"


def _drawn(frames: Frames) -> Drawn:
    core, namespace = frames.memory._core, frames.memory.namespace
    episode = None if frames.episode is None else frames.episode.id
    with core.lock:
        core.index(namespace)
        made = outline(core, namespace, Asked(frames.end, KINDS, episode, None, None, abroad=episode is not None))
    subjects = subjects_of(core, made.nodes.values()) if len(frames) <= READ else {}
    found, about = entities(made, subjects, made.nodes, made.nodes, None)
    every = [*made.nodes.values(), *(node for node, _ in found.values())]
    stand = places(every, made.turns)
    nodes = sorted(every, key=lambda node: (node.x, node.born, node.id))
    x, y = np.array([stand[node.id] for node in nodes], np.float64).reshape(-1, 2).T
    born = np.array([node.born for node in nodes], np.int64)
    retired = np.array([node.retired or -1 for node in nodes], np.int64)
    steps = frames._steps
    number = np.interp(x, steps, np.arange(len(steps))) if len(steps) else np.zeros(len(x))
    if len(steps):
        number[(x < steps[0]) & np.array([node.kind == "episode" for node in nodes], bool)] = BEFORE
    abroad = np.array([node.id in made.abroad for node in nodes], bool)
    number[abroad] = _abroad(int(abroad.sum()), len(steps))
    gone = np.where(retired < 0, -1, np.searchsorted(steps, retired))
    links = [link for link in chain(made.links, about) if link.kind in LINKS]
    low = y < 1  # tracks of episodes that went on at the same time; of one alone, its own is the first
    if episode is not None and low.any():
        y = np.where(low, y - np.round(y[low].max()), y)
    names = {name: written for name, (_, written) in found.items()}
    begins = round(float(number.min(initial=BEFORE)), 2)
    return Drawn(made, names, nodes, links, number, y, np.searchsorted(steps, born), gone, begins)


def _abroad(count: int, frames: int) -> np.ndarray:
    """Where so many nodes stand that are of other episodes."""
    width = min(APART * (count - 1), SHARE * max(frames, LEAST)) if count > 1 else 0.0
    return np.linspace(ABROAD - width, ABROAD, count)


def _thinned(drawn: Drawn, there: np.ndarray) -> np.ndarray:
    """At most MOST nodes: crystals and recalls first, then steps at even distances."""
    if len(there) <= MOST:
        return there
    steps = np.array([drawn.nodes[at].kind == "step" for at in there.tolist()])
    others = _evenly(there[~steps], MOST // 2)
    return np.sort(np.concatenate([others, _evenly(there[steps], MOST - len(others))]))


def _evenly(rows: np.ndarray, most: int) -> np.ndarray:
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _told(frames: Frames, drawn: Drawn, ids: list[str]) -> dict[str, Any]:
    """Labels, and of crystals how many tokens became how many, of a window that is small enough."""
    counts = {"recalled": [drawn.made.recalled[id] for id in ids]}
    if len(ids) > NAMED:
        return counts
    told, _ = filled(frames.memory._core, drawn.made, [id for id in ids if id not in drawn.names])
    named = {node.id: entity(node, drawn.names[node.id]) for node in drawn.nodes if node.id in drawn.names}
    told |= {id: named[id] for id in ids if id in named}
    return counts | {
        "label": [str(told[id]["label"]) for id in ids],
        "tokens": [[told[id].get("source_tokens", 0), told[id].get("tokens", 0)] for id in ids],
    }
