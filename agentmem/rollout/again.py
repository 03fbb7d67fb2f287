"""An episode of a rollout to be played again: its environment with its seed, and what would be logged of it now.

Knows what a rollout noted of itself; logs nothing. It is a player of `agentmem.replay.rerun`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.memory import Memory, check_memory
from agentmem.rollout.lanes import Lanes, Took
from agentmem.rollout.making import Make, maker
from agentmem.rollout.notes import BY, note_at
from agentmem.rollout.reading import Reading, reading_of
from agentmem.rollout.trail import exact, observed
from agentmem.rollout.values import unpack
from agentmem.types import Step


class Again:
    """The environment of an episode that a rollout logged: memory is seen from that episode's namespace, (id, number).

    make: makes the environment, where the rollout was given a function; by default it is made by the id and options
    that are noted. reading: the rollout's, if it had one of its own. Raises NotFoundError where no rollout logged,
    InvalidInputError where the environment cannot be made from what is noted. As a context it closes at the end.
    """

    exact = staticmethod(exact)

    def __init__(self, memory: Memory, make: Make | None = None, reading: Reading | None = None) -> None:
        self.memory, note = check_memory(memory), _rolled(memory)
        called = note["environment"]
        self.reading = reading or reading_of(called)
        self.seed = note["seed"] + int(memory.namespace[-1])
        self._lanes = Lanes(make or _maker(called, note["options"]), 1, apart=False, seed=note["seed"])
        self._turn = 0

    def reset(self) -> list[dict[str, Any]]:
        """Begin the episode; what is logged of the first observation."""
        self._turn = 0
        return self._seen(self._lanes.begin([self.seed])[0])

    def step(self, action: Step) -> list[dict[str, Any]]:
        """Act as the logged action did. InvalidInputError for a step that is none of a rollout."""
        if not isinstance(action.data, Mapping) or "action" not in action.data:
            raise InvalidInputError(f"step {action.id} holds no action of a rollout; give steps of this episode")
        blobs = {name: self.memory.blob(digest) for name, digest in action.blobs.items()}
        self._turn += 1
        return self._seen(self._lanes.step({0: unpack(self._lanes.action_space, action.data["action"], blobs)})[0])

    def _seen(self, took: Took) -> list[dict[str, Any]]:
        return observed(took, self._turn, self.reading)

    def close(self) -> None:
        """Close the environment."""
        self._lanes.close()

    def __enter__(self) -> Again:
        return self

    def __exit__(self, *raised: Any) -> None:
        self._lanes.__exit__(*raised)


def note_of(memory: Memory) -> dict[str, Any] | None:
    """What the rollout noted that logged an episode in this namespace, with its seed; None where none did."""
    *place, number = memory.namespace or ("",)
    note = note_at(memory.scoped(*place)) if number.isdecimal() else {}
    return note if note.get("by") == BY and "seed" in note else None


def _rolled(memory: Memory) -> dict[str, Any]:
    note = note_of(memory)
    if note is None:
        where = f"namespace {memory.namespace}" if memory.namespace else "the root namespace"
        raise NotFoundError(
            f"{where} holds no episode of a rollout, with its seed; see the memory from one, such as "
            "memory.scoped('agentmem/ShiftShop-Short-v0', '0')"
        )
    return note


def _maker(called: str, options: Any) -> Make:
    try:
        return maker(called, options)
    except InvalidInputError as error:
        if not all(part.isidentifier() or part.startswith("<") for part in called.split(".")):
            raise
        raise InvalidInputError(
            f"environment {called!r} was made by a function, whose name alone is noted: play the episode again in "
            "Python, with Again(memory, make=the function)"
        ) from error
