"""The routes that show: a memory's graph, the frames of an episode, and what would have been recalled at a step.

All is seen from the token's namespace alone. Each answer is bounded, and says how much it leaves out. Knows replays and
graphs; knows no HTTP.
"""

from __future__ import annotations

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.replay import Frames, replay
from agentmem.replay.plain import recall, to_json
from agentmem.server.models import MOST_EDGES, Drawn, Frame, FramePage, Graph, Played, RecallAt, Recalled, Tail
from agentmem.server.place import PAGE, Place, check_as_of, known_episode
from agentmem.server.problems import Refused


def graph(at: Place, asked: Drawn) -> Graph:
    """The memory as a graph, as of a step or a time: at most 5,000 nodes and 50,000 edges. Writes nothing."""
    from agentmem.graph import memory_graph, node_link

    check_as_of(at, asked.as_of)
    made = node_link(memory_graph(at.memory, **{name: getattr(asked, name) for name in Drawn.model_fields}))
    edges = made["edges"]
    about = made["graph"] | {"edges_left_out": max(0, len(edges) - MOST_EDGES)}
    return Graph(**made | {"graph": about, "edges": edges[-MOST_EDGES:]})


def frames(at: Place, asked: FramePage, id: str) -> Played:
    """The frames of an episode: each step, what was recalled before it, as it was then, and the crystals that formed.

    Writes nothing.
    """
    known_episode(at, id)
    played = replay(at.memory, id)
    number = 0 if asked.after is None else played.number_of(asked.after) + 1
    page, characters = list[Frame](), 0
    while number < len(played) and len(page) < asked.limit and characters < PAGE:
        told = played[number].data()
        page.append(Frame(**told | {"erased": told["erased"] if at.operator else None}))
        characters += len(to_json(told))
        number += 1
    return _page(played, page, number)


def _page(played: Frames, page: list[Frame], number: int) -> Played:
    """number: of the first frame that is not on it."""
    more = number < len(played)
    tail = None if more else Tail(**played.tail.data())
    return Played(
        replay=played.data(), frames=tuple(page), tail=tail, next=played.step(number - 1).id if more else None
    )


def recall_at(at: Place, asked: RecallAt, id: str) -> Recalled:
    """What memory would have recalled just before a step, of what it knew then. Writes nothing."""
    try:
        step = at.memory.step(id)
    except NotFoundError as error:
        raise Refused(404, str(error)) from error
    played = replay(at.memory, step.episode)
    try:
        found = played.recall(played.number_of(id), asked.cue, asked.budget, asked.layers)
    except InvalidInputError as error:  # nothing was recalled there, and there is no cue
        raise Refused(409, str(error)) from error
    return Recalled(**recall(found))
