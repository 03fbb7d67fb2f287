"""An environment's episode played again: the actions of the log, and whether what is observed is what was logged.

Knows frames; knows no environment: whoever calls gives a player, which says what would be logged of each observation.
`agentmem.rollout.Again` is the player of an episode that a rollout logged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from agentmem.errors import InvalidInputError
from agentmem.records import brief, digest, to_json
from agentmem.replay.frames import Frames
from agentmem.types import Step

Seen = Sequence[Mapping[str, Any]]
"""Of one observation, the keywords of `EpisodeWriter.log` of each step that is logged of it."""
Exact = Callable[[Any, Mapping[str, str]], tuple[Any, Mapping[str, str]]]
"""Of the data of a step, and its blobs by name as digests, what must be the same."""
DEFAULTS: dict[str, Any] = {"reward": None, "terminated": False, "truncated": False}


@runtime_checkable
class Player(Protocol):
    """Plays an environment with the seed and settings of the episode. One that has `exact(data, blobs)` says what of
    these must be the same, as logged and as observed now; else all must.
    """

    def reset(self) -> Seen:
        """Begin the episode."""
        ...

    def step(self, action: Step) -> Seen:
        """Act as a logged action did."""
        ...


class Checked(NamedTuple):
    """A frame of an observation, or of the action after which one is missing. why: in what it is another one."""

    number: int
    same: bool
    why: str = ""


def rerun(frames: Frames, player: Player) -> Iterator[Checked]:
    """Play an episode again and check each observation, in order, as far as one looks. Messages are passed over.

    Raises InvalidInputError for what is no player, and what the player raises.
    """
    if not isinstance(player, Player):
        raise InvalidInputError(f"player {brief(player)} has no reset() and step(action); give what plays the episode")
    return _checked(frames, player)


def _checked(frames: Frames, player: Player) -> Iterator[Checked]:
    exact: Exact = getattr(player, "exact", lambda data, blobs: (data, blobs))
    seen = list(player.reset())
    for number, step in enumerate(frames.steps()):
        if step.kind == "observation":
            yield Checked(number, *_alike(step, seen.pop(0) if seen else None, exact))
        elif step.kind == "action":
            if seen:
                yield Checked(number, False, f"before it {brief(seen[0].get('text'))} is observed, and was not logged")
            seen = list(player.step(step))
    if seen:
        yield Checked(len(frames) - 1, False, f"after it {brief(seen[0].get('text'))} is observed, and was not logged")


def _alike(step: Step, seen: Mapping[str, Any] | None, exact: Exact) -> tuple[bool, str]:
    """Whether a step is what would be logged now, and else in what it is not."""
    if seen is None:
        return False, "it was logged, and nothing more is observed now"
    if seen["text"] != step.text and not step.lost:
        return False, f"it was {brief(step.text)}, and is {brief(seen['text'])} now"
    blobs = {name: digest(content) for name, content in (seen.get("blobs") or {}).items()}
    (was, held), (shown, holds) = exact(step.data, step.blobs), exact(seen.get("data"), blobs)
    values = {name: (getattr(step, name), seen.get(name, default)) for name, default in DEFAULTS.items()}
    for name, pair in {**values, "data": (was, shown)}.items():
        then, now = map(to_json, pair)
        if now != then:
            return False, f"its {name} was {brief(then)}, and is {brief(now)} now"
    if holds != held:
        names = sorted(name for name in holds.keys() | held.keys() if holds.get(name) != held.get(name))
        return False, f"its {', '.join(names)} is another one now"
    return True, ""
