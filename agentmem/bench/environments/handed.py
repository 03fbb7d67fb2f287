"""A policy that is handed what a decision needs: what it would do if memory found just that, whatever it was asked.

Knows what info tells of an environment's decisions, and the lines of planning contexts; knows no network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agentmem.recall import Line, render, sections
from agentmem.recall.render import head, line
from agentmem.rollout.policies import begun
from agentmem.rollout.reading import Reading
from agentmem.tokens import count
from agentmem.types import Hit, PlanningContext


class Text(NamedTuple):
    """One that is logged of the observation at a turn, and its episode."""

    turn: int
    episode: str
    said: str


class Handed:
    """Plays one episode; where a decision needs what was shown before, it is shown the lines that say it, and nothing
    else, within the budget. Elsewhere it is shown what is recalled: `asks` is the `recall` of its rollout.
    """

    def __init__(self, policy: Any, name: str, seed: int, reading: Reading, budget: int) -> None:
        self._policy, self._reading, self._budget = begun(policy, seed, name), reading, budget
        self._turn, self._needs = 0, list[Mapping[str, Any]]()
        self._log: list[Text] = []
        self._tokens = self._needed = self._found = 0

    def asks(self, observation: Any, info: Mapping[str, Any]) -> bool:
        """Whether memory is to be asked before the coming decision."""
        self._needs = list(info["needs"])
        return not self._needs

    def act(self, observation: Any, context: PlanningContext | None) -> Any:
        shown = self._hand() if self._needs else context
        self._tokens += shown.tokens if shown is not None else 0
        action = self._policy.act(observation, shown)
        episode = self._reading.thread(observation)
        self._log += [Text(self._turn, episode, said) for said in self._reading.texts(observation)]
        self._turn += 1
        return action

    def told(self) -> dict[str, float | None]:
        """What the rollout's own report cannot know, since what is handed is not recalled."""
        return {
            "needed_fact_recall": self._found / self._needed if self._needed else None,
            "context_tokens_mean": self._tokens / self._turn if self._turn else None,
        }

    def _hand(self) -> PlanningContext:
        places = sorted({place for need in self._needs for place in lines_of(need, self._log)})
        lines = [_line(place, self._log[place]) for place in places]
        while count(render(lines)) > self._budget:
            del lines[0]
        self._needed += len(self._needs)
        self._found += sum(self._says(lines, need) for need in self._needs)
        text = render(lines)
        return PlanningContext(
            text=text, sections=dict(sections(lines)), tokens=count(text), budget=self._budget, hits=(),
            store_version="",
        )  # fmt: skip

    def _says(self, lines: Sequence[Line], need: Mapping[str, Any]) -> bool:
        """As a report counts it: a line of the last valid showing has the value."""
        shown = [each for each in lines if self._log[each.position].turn == need["shown"]]
        return any(str(need["value"]) in each.text for each in shown)


def lines_of(need: Mapping[str, Any], log: Sequence[Text]) -> set[int]:
    """The places of the texts that say a needed fact: of its last valid showing those with its value, and of the same
    episode those with the value that it superseded; each with the one before it in its observation, which may say of
    what it is ("The closing code of Camp Stove changes. From now on it is AB-1.").
    """
    episodes = {text.episode for text in log if text.turn == need["shown"]}
    found = {
        place
        for place, text in enumerate(log)
        if (text.turn == need["shown"] and str(need["value"]) in text.said)
        or (need["stale"] is not None and text.episode in episodes and str(need["stale"]) in text.said)
    }
    return found | {place - 1 for place in found if place and log[place - 1].turn == log[place].turn}


def _line(place: int, text: Text) -> Line:
    """As recall renders a step."""
    said = line("observation", text.said)
    hit = Hit(
        id=str(place), layer="step", position=place, score=0.0, reasons={}, span=None, section="past", text=said,
        tokens=count(said),
    )  # fmt: skip
    return Line(place, "past", head(None, text.episode), said, hit)
