"""Where nodes stand: x is their place in the log, y their lane. Knows no texts and no picture.

Lanes from below: the tracks of episodes at 0, -1, -2, ..., steps on them and recalls a little beneath; units at 1,
clusters at 2, atoms at 3, entities at 4, each in tracks between its lane and the next. A place depends on what is older
alone, so that what is logged later moves nothing.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence

from agentmem.graph.outline import Node, Turn

LANES = {"unit": 1.0, "cluster": 2.0, "atom": 3.0, "entity": 4.0}
BENEATH = 0.35  # recalls, under the steps of their episode
ROOM = 4.0  # log positions between two of a track
TRACKS = 16  # in a lane, at most
SPREAD = 0.8  # of the height of a lane


def places(nodes: Iterable[Node], turns: Sequence[Turn]) -> dict[str, tuple[float, float]]:
    """Node -> (x, y)."""
    tracks, lanes = tracks_of(turns), defaultdict[str, _Lane](_Lane)
    found = {}
    for node in sorted(nodes, key=lambda node: (node.born, node.id)):
        if node.kind in LANES:
            y = LANES[node.kind] + lanes[node.kind].height(node.x)
        else:
            y = 0.0 - tracks.get(node.episode or "", 0) - (BENEATH if node.kind == "recall" else 0.0)
        found[node.id] = (float(node.x), round(y, 4))
    return found


def tracks_of(turns: Iterable[Turn]) -> dict[str, int]:
    """Episode -> the lowest track that was free when it began; one that goes on after its end keeps its own."""
    tracks: dict[str, int] = {}
    busy: set[str] = set()
    for turn in turns:
        if turn.ends:
            busy.discard(turn.episode)
            continue
        if turn.episode not in tracks:
            taken = {tracks[name] for name in busy}
            tracks[turn.episode] = next(track for track in range(len(taken) + 1) if track not in taken)
        busy.add(turn.episode)
    return tracks


class _Lane:
    """Tracks that fill from the bottom; where all are full, the one with the most room takes more."""

    def __init__(self) -> None:
        self._tracks: list[list[float]] = []

    def height(self, x: float) -> float:
        """Above the bottom of the lane, of what comes next."""
        rooms = [_room(track, x) for track in self._tracks]
        free = next((number for number, room in enumerate(rooms) if room >= ROOM), len(rooms))
        if free == TRACKS:
            free = max(range(TRACKS), key=rooms.__getitem__)
        if free == len(rooms):
            self._tracks.append([])
        insort(self._tracks[free], x)
        return SPREAD * _halved(free)


def _room(track: Sequence[float], x: float) -> float:
    """From a place to the nearest one that is taken."""
    at = bisect_left(track, x)
    return min((abs(x - other) for other in track[max(0, at - 1) : at + 1]), default=float("inf"))


def _halved(track: int) -> float:
    """0, 1/2, 1/4, 3/4, 1/8, ...: as many tracks as there are lie evenly, and none moves as more are added."""
    height, half = 0.0, 0.5
    while track:
        height, track, half = height + half * (track & 1), track >> 1, half / 2
    return height
