"""Policies without training: the oracle of a privileged shift, and a rule that reads remembered texts.

The rule bounds what a window can do, and shows that a shift can be solved from its own history. As a reader it
remembers nothing itself: what it reads is the planning context.
"""

import json
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from agentmem.errors import InvalidInputError

_WORD = re.compile(r"[#\w.@-]+")


class Oracle:
    """Chooses the right candidate, or writes the right call where none are offered. InvalidInputError where info has
    neither.
    """

    name = "oracle"
    informed = True
    """Acts on info: see `agentmem.rollout.policies`."""

    def act(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> int | str:
        right: int | str | None = info.get("gold_index", info.get("gold"))
        if right is None:
            raise InvalidInputError(
                "policy Oracle needs the right candidate in info, `gold_index`, or the right call, `gold`, and neither "
                "is told here; play a shift, with or without candidates, or a workflow, made with privileged=True, or "
                "choose another policy"
            )
        return right


class Rule:
    """Chooses the candidate whose own value stands in the remembered text most like the present one.

    Remembers the last `window` observations, the present one among them; all of them where that is None. Of equals the
    newest, and of none at all a random one, by `seed`.
    """

    def __init__(self, window: int | None = None, seed: int = 0) -> None:
        self.window = window
        self._texts: deque[tuple[str, frozenset[str]]] = deque(maxlen=window)
        self._random = Random(seed)

    @property
    def name(self) -> str:
        return "rule" if self.window is None else f"rule of {self.window}"

    def begin(self, seed: int) -> "Rule":
        """The rule of one episode, which remembers nothing yet."""
        return Rule(self.window, seed)

    def see(self, text: str) -> None:
        """Remembers an observation."""
        self._texts.append((text, frozenset(_WORD.findall(text))))

    def act(self, observation: Mapping[str, Any], context: Any = None) -> int:
        """Remembers the observation and chooses one of its candidates; InvalidInputError where it offers none."""
        _check(self, observation)
        self.see(observation["text"])
        best = self.best(observation["candidates"])
        return best[int(self._random.random() * len(best))]

    def best(self, offered: str) -> list[int]:
        """The places of the best of these calls, a line each; the newest observation asks for one."""
        text, now = self._texts[-1]
        name = text.partition("]")[0].partition(" ")[2]
        candidates = [[*leaves(json.loads(line)["args"])] for line in offered.split("\n")]
        counts = Counter(value for values in candidates for value in dict.fromkeys(values))
        scores = [self._score(values, counts, len(candidates), now, name) for values in candidates]
        return [place for place, score in enumerate(scores) if score == max(scores)]

    def _score(
        self, values: list[str], counts: Mapping[str, int], number: int, now: frozenset[str], name: str
    ) -> tuple[int, int]:
        own = [value for value in values if counts[value] < number] or values
        if all(value in self._texts[-1][0] for value in own):
            return (10**6, sum(map(len, own)))
        found = [
            (len(now & words) + 20 * (name in text), place)
            for place, (text, words) in enumerate(self._texts)
            if any(value in text for value in own)
        ]
        return max(found, default=(-1, -1))


class Reader:
    """The rule over what a planning context shows, each line with its head. Of equals the first."""

    name = "reader"

    def act(self, observation: Mapping[str, Any], context: Any) -> int:
        """Chooses one of the candidates; InvalidInputError where the observation offers none."""
        _check(self, observation)
        rule, head = Rule(), ""
        for line in context.text.split("\n") if context is not None else ():
            head = line if line.startswith("[") else head
            rule.see(f"{head} {line}")
        rule.see(observation["text"])
        return rule.best(observation["candidates"])[0]


def _check(policy: Any, observation: Any) -> None:
    if not isinstance(observation, Mapping) or not observation.keys() >= {"text", "candidates"}:
        raise InvalidInputError(
            f"policy {type(policy).__name__} chooses among the candidates of a shift, and none are offered here; play "
            "a shift in agentmem_envs.shift.wrapper.Candidates, or choose another policy"
        )


def leaves(given: Any) -> Iterator[str]:
    """All values of a call's arguments, as text."""
    if isinstance(given, dict | list):
        for each in given.values() if isinstance(given, dict) else given:
            yield from leaves(each)
    else:
        yield str(given)
