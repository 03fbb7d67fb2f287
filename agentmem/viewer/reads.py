"""What a page reads: episodes, windows of steps, frames, recalls, comparisons. Each answer is bounded, and plain JSON.

Knows replays and their JSON form (docs/replay.md); knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import agentmem
from agentmem.errors import NotFoundError
from agentmem.index import STEP, step_id, step_position
from agentmem.memory import Memory
from agentmem.memory.recalling import query_of
from agentmem.replay import Comparison, Frames, plain
from agentmem.replay.frames import RECALL
from agentmem.replay.recalled import Put, Recaller
from agentmem.types import KINDS, Episode, Namespace, Step
from agentmem.viewer import asked
from agentmem.viewer.edits import corrections
from agentmem.viewer.look import Look

SPACES = 1_000
TRIED = 20
LISTED = 100  # episodes of an answer
WINDOW = 100  # steps of an answer
PAIRS = 100
BINS = 240  # columns of a timeline
LINE = 160  # characters of a step in a list
SOURCES = 200


def memory(look: Look, given: asked.Nothing) -> dict[str, Any]:
    """What is open."""
    spaces = look.namespaces()
    return {
        "name": look.name,
        "version": agentmem.__version__,
        "read_only": look.read_only,
        "namespace": list(look.memory.namespace if look.only or not spaces else _first(look, spaces)),
        "namespaces": plain.several(spaces, list, SPACES),
        "end": look.memory.head().position,
    }


def _first(look: Look, spaces: Sequence[Namespace]) -> Namespace:
    """The one that is shown at first: that it was opened with, or else the first in which something happened."""
    several = [look.memory.namespace, *spaces[:TRIED]]
    return next((space for space in several if look.memory.scoped(*space).episodes()), spaces[0])


def episodes(look: Look, given: asked.Episodes) -> dict[str, Any]:
    """Episodes, the newest first."""
    wanted = given.find.casefold()
    every = reversed(look.scoped(given.namespace).episodes())
    known = [one for one in every if wanted in f"{one.id}\n{one.goal or ''}".casefold()]
    first = listed(look, given.namespace, known[given.start : given.start + LISTED])
    return {"count": len(known), "first": first, "opens": opens(look, given.namespace, known)}


def listed(look: Look, namespace: Namespace, several: Sequence[Episode]) -> list[dict[str, Any]]:
    """Episodes, each in a line."""
    counts = look.kept("counts", namespace, None, lambda: _counts(look.scoped(namespace)))
    return [
        {
            "id": one.id,
            "goal": (one.goal or "")[: plain.SHORT],
            "agent": one.agent,
            "ended": one.ended is not None,
            "steps": counts.get(one.id, 0),
        }
        for one in several
    ]


def opens(look: Look, namespace: Namespace, several: Sequence[Episode]) -> str | None:
    """Which one a page opens with: of episodes, the newest first, the first in which something was recalled, or else
    the first.
    """
    recalled = look.kept("recalled", namespace, None, lambda: _recalled(look.scoped(namespace)))
    return next((one.id for one in several if one.id in recalled), several[0].id if several else None)


def _recalled(scoped: Memory) -> frozenset[str]:
    """The episodes in which something was recalled."""
    core = scoped._core
    with core.lock:
        index = core.index(scoped.namespace)
        columns = index.columns
        numbers = np.unique(columns.episode[(columns.type == RECALL) & (columns.episode > 0)]).tolist()
        return frozenset(index.names[number] for number in numbers)


def _counts(scoped: Memory) -> dict[str, int]:
    """Episode -> how many steps it has."""
    core = scoped._core
    with core.lock:
        index = core.index(scoped.namespace)
        columns = index.columns
        names, counts = np.unique(columns.episode[columns.type == STEP], return_counts=True)
        found: dict[str, int] = {}
        for name, count in zip(names.tolist(), counts.tolist(), strict=True):
            found[index.names[name]] = found.get(index.names[name], 0) + count
    return found


# ---- a replay ----------------------------------------------------------------------------------------------------


def played(look: Look, given: asked.Played) -> dict[str, Any]:
    """What is played, how dense it is from place to place, and before which frame something was recalled first."""
    frames = look.frames(given.namespace, given.episode)
    density = look.kept("density", given.namespace, given.episode, lambda: _density(frames))
    first = int(frames._owner[0]) if len(frames._owner) else len(frames)
    return {**frames.data(), "density": density, "recalled": first if first < len(frames) else None}


def _density(frames: Frames) -> dict[str, Any]:
    """Of each of at most BINS columns: tokens of steps by kind, recalls, crystals formed."""
    n, bins = len(frames), min(BINS, max(1, len(frames)))
    core = frames.memory._core
    with core.lock:
        index = core.held(frames.memory.namespace)
        rows = np.searchsorted(index.columns.position, frames._steps)
        tokens = index.columns.tokens[rows] if n else np.zeros(0, np.int64)
        born = np.searchsorted(frames._steps, index.sealed.columns.rows[0])
    column = np.arange(n) * bins // max(1, n)
    by_kind = [np.bincount(column[frames._kinds == kind], tokens[frames._kinds == kind], bins) for kind in range(3)]
    placed = [np.bincount(at[at < n] * bins // max(1, n), minlength=bins) for at in (frames._owner, born)]
    named = zip((*KINDS, "recalls", "formed"), (*by_kind, *placed), strict=True)
    return {"bins": bins, **{name: values.astype(np.int64).tolist() for name, values in named}}


def steps(look: Look, given: asked.Window) -> dict[str, Any]:
    """A window of steps, each in a line."""
    frames = look.frames(given.namespace, given.episode)
    end = min(len(frames), given.start + WINDOW)
    owners = np.searchsorted(frames._owner, np.arange(given.start, max(end, given.start) + 1))
    rows = zip(frames.steps(given.start, end), np.diff(owners).tolist(), strict=True)
    first = [line(step) | {"number": given.start + at, "recalls": recalls} for at, (step, recalls) in enumerate(rows)]
    return {"start": given.start, "count": len(frames), "first": first}


def line(step: Step) -> dict[str, Any]:
    """A step in a line."""
    return {
        "id": step.id,
        "episode": step.episode,
        "kind": step.kind,
        "actor": step.actor,
        "tokens": step.tokens,
        "text": " ".join(step.text[: 2 * LINE].split())[:LINE],
        "characters": len(step.text),
    }


def frame(look: Look, given: asked.One) -> dict[str, Any]:
    """A frame whole, and what became of its step since."""
    frames = look.frames(given.namespace, given.episode)
    _check_number(given.number, frames)
    made = frames[given.number]
    return {**made.data(), "status": _status(frames.memory, made.step)}


def _check_number(number: int, frames: Frames) -> None:
    if number >= len(frames):
        raise NotFoundError(f"there is no frame {number}; the replay has {len(frames):,}")


def _status(scoped: Memory, step: Step) -> dict[str, Any]:
    """Whether a step is forgotten or pinned now, and which steps correct it."""
    core = scoped._core
    with core.lock:
        index = core.index(scoped.namespace)
        forgotten = step.position in index.held_out.reasons
        pins = index.pins.rows
        pinned = bool((pins[1] == step.position).any())
    return {
        "forgotten": forgotten,
        "pinned": pinned,
        "corrected_by": [line(one) for one in corrections(scoped, step.id)],
        "corrects": step.data.get("corrects") if isinstance(step.data, dict) and step.trust == "operator" else None,
    }


def tail(look: Look, given: asked.Played) -> dict[str, Any]:
    """What came after the last step."""
    return look.frames(given.namespace, given.episode).tail.data()


def place(look: Look, given: asked.Id) -> dict[str, Any]:
    """Where a step is: its episode, and its number there."""
    step = look.scoped(given.namespace).step(given.id)
    return line(step) | {"number": look.frames(given.namespace, step.episode).number_of(step.id)}


def text(look: Look, given: asked.Id) -> dict[str, Any]:
    """What a step says, as far as a correction goes: a frame shows less of it."""
    return plain.text(look.scoped(given.namespace).step(given.id).text, asked.LONGEST)


def sources(look: Look, given: asked.Id) -> dict[str, Any]:
    """A crystal, and the steps it condenses; or a step alone."""
    scoped = look.scoped(given.namespace)
    found = scoped.expand(given.id)
    core = scoped._core
    with core.lock:
        index = core.index(scoped.namespace)
        crystal = index.crystal(given.id) if given.id in index.by_id else None
    return {
        "crystal": plain.crystal(crystal) | {"retired": crystal.retired} if crystal is not None else None,
        "steps": plain.several(found, line, SOURCES),
    }


# ---- recall ------------------------------------------------------------------------------------------------------


def search(look: Look, given: asked.Search) -> dict[str, Any]:
    """What memory recalls for a cue: the context, why each hit is in it, and what just missed it."""
    scoped = look.scoped(given.namespace)
    as_of = scoped.head().position
    if given.as_of is not None:
        as_of = step_position(scoped.step(given.as_of).id) - 1
    query = query_of(given.cue, given.budget, None, None, None, None, False)
    core = scoped._accessed("recall", given.cue)
    put = Put((scoped.namespace,), query, as_of, None, core.code_id)
    return plain.recall(Recaller(scoped, None).run(put)) | {"at": step_id(as_of)}


# ---- two runs ----------------------------------------------------------------------------------------------------


def compared(look: Look, given: asked.Two) -> dict[str, Any]:
    """A window of the pairs of two runs."""
    made = look.compared(given.namespace, given.left, given.right)
    chosen = [number for number, pair in enumerate(made.pairs) if not (given.differ and pair.same)]
    page = chosen[given.start : given.start + PAIRS]
    return {
        "pairs": len(made),
        "count": len(chosen),
        "differ": sum(not pair.same for pair in made.pairs),
        "start": given.start,
        "first": [_pair(made, number) for number in page],
    }


def _pair(made: Comparison, number: int) -> dict[str, Any]:
    pair = made.pairs[number]
    sides = ((made.left, pair.left), (made.right, pair.right))
    left, right = (None if at is None else line(frames.step(at)) | {"number": at} for frames, at in sides)
    return {"number": number, "same": pair.same, "left": left, "right": right}


def difference(look: Look, given: asked.Pair) -> dict[str, Any]:
    """In what the contexts of a pair differ."""
    made = look.compared(given.namespace, given.left, given.right)
    if given.number >= len(made):
        raise NotFoundError(f"there is no pair {given.number}; the two runs have {len(made):,}")
    return made[given.number].data()
