"""A small workflow and changes of it; and playing one: what a policy believes that read some of the observations, and
what comes of it.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from agentmem_envs.workflow.cases import answer
from agentmem_envs.workflow.definition import Definition
from agentmem_envs.workflow.env import WorkflowEnv

LOAN = Path(__file__).parent.parent / "examples" / "loan_application.yaml"
HEADER = re.compile(r"\[(case-\d+) (\w+)\] ")

SMALL: dict[str, Any] = {
    "name": "parcels",
    "goal": "Deliver.",
    "steps": 50,
    "delay": [5, 9],
    "facts": {"door": {"values": ["blue", "grün"]}, "floor": {"least": 0, "most": 9}},
    "deadlines": {"pickup": {"starts": "told", "steps": 6}},
    "tools": {
        "note": {"args": {"case": {"type": "case"}}, "sets": {"noted": True}},
        "deliver": {
            "args": {"case": {"type": "case"}, "door": {"type": "text"}, "floor": {"type": "integer", "most": 9}},
            "sets": {"door": "{door}", "at": "floor {floor}"},
        },
    },
    "first": "told",
    "states": {
        "told": {
            "text": "The {door} door on floor {floor}, until step {pickup}.",
            "choices": [{"call": {"tool": "note", "args": {"case": "{case}"}}, "next": "there"}],
        },
        "there": {
            "text": "You are there.",
            "choices": [
                {
                    "when": {"pickup": {"passed": True}},
                    "call": {"tool": "note", "args": {"case": "{case}"}},
                    "next": "late",
                },
                {
                    "call": {"tool": "deliver", "args": {"case": "{case}", "door": "{door}", "floor": "{floor}"}},
                    "next": "delivered",
                },
            ],
        },
    },
    "grader": {"late": {"noted": True}, "delivered": {"door": "{door}", "at": "floor {floor}"}},
}


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    written: dict[str, Any] = yaml.safe_load(yaml.safe_dump(SMALL, sort_keys=False))
    change(written)
    return written


def there(written: dict[str, Any]) -> dict[str, Any]:
    choice: dict[str, Any] = written["states"]["there"]["choices"][1]
    return choice


def conditioned(written: dict[str, Any], fact: str, test: dict[str, Any]) -> None:
    written["states"]["there"]["choices"][0].update(when={fact: test})


@cache
def pattern(said: str) -> re.Pattern[str]:
    """Of what a state says, with a group for each value in it."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(said)))


def read(definition: Definition, texts: list[str], case: str) -> dict[str, Any]:
    """What the texts say about a case."""
    found: dict[str, Any] = {"case": case}
    for text in texts:
        if f"[{case} " in text and (head := HEADER.search(text)):
            match = pattern(definition.states[head[2]].text).search(text[head.end() :])
            assert match, text
            found |= {name: typed(definition, name, value) for name, value in match.groupdict().items()}
    return found


def typed(definition: Definition, name: str, value: str) -> Any:
    if name in definition.deadlines:
        return int(value)
    return next(option for option in definition.facts[name].options if str(option) == value)


def guess(definition: Definition, at: int, random: Random) -> dict[str, Any]:
    drawn: dict[str, Any] = {name: random.choice(fact.options) for name, fact in definition.facts.items()}
    for name, deadline in definition.deadlines.items():
        drawn[name] = at + random.choice((-deadline.steps, deadline.steps))
    return drawn


def follower(definition: Definition, window: int | None, seed: int = 0) -> Callable[[list[str]], str]:
    """A policy that follows the definition, knows the newest `window` texts (None: all), and guesses the rest."""
    random = Random(seed)

    def act(texts: list[str]) -> str:
        head = HEADER.search(texts[-1])
        assert head
        known = read(definition, texts if window is None else texts[-window:], head[1])
        at = len(texts) - 1
        return answer(definition, head[2], guess(definition, at, random) | known, at)[0].text

    return act


def play(env: WorkflowEnv, seed: int, act: Callable[[list[str]], str]) -> Iterator[tuple[dict[str, Any], Any, float]]:
    """The info before each call, the info after it, and the reward."""
    observation, info = env.reset(seed=seed)
    texts, done = [observation["text"]], False
    while not done:
        observation, reward, terminated, done, after = env.step(act(texts))
        assert not terminated
        texts.append(observation["text"])
        yield info, after, reward
        info = after


def scores(env: WorkflowEnv, seeds: range, act: Callable[[list[str]], str]) -> dict[str, float]:
    """`solved` of all cases that ended, and per kinds of needs the part of decisions that were right."""
    right: dict[str, list[bool]] = defaultdict(list)
    for seed in seeds:
        for info, after, _ in play(env, seed, act):
            assert after["kind"] == "+".join(need["kind"] for need in info["needs"])
            right[after["kind"] or "visible"].append(after["right"])
        right["solved"] += [result["solved"] for result in after["results"]]
    return {kind: sum(each) / len(each) for kind, each in right.items()}
