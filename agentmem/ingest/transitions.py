"""Transitions of an environment as JSON lines: `{episode, action, observation, reward, terminated, truncated}`.

A line without an action (a reset) is the first observation. `info`, if there, goes into the observation's data, and its
`text` describes the observation. What is no text is described by `agentmem.ingest.values`. Lines of several episodes
may be mixed; within one they are counted, which makes their keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from agentmem.ingest.report import Found
from agentmem.ingest.source import Source
from agentmem.ingest.values import described, raw
from agentmem.records import brief

ENDS = ("terminated", "truncated")


def is_transition(value: Any) -> bool:
    return isinstance(value, Mapping) and "observation" in value and bool(value.keys() & {"action", "reward"})


def read_transitions(source: Source) -> Iterator[Found]:
    places = Counter[str]()
    for number, line in source.objects():
        if problem := _problem(line):
            source.bad(number, problem)
            continue
        own = line.get("episode")
        episode = source.name if own is None else f"{source.name}/{own}"
        yield from transition(number, episode, places[episode], line)
        places[episode] += 1
        if line.get("terminated") or line.get("truncated"):
            yield Found(number, episode, None)


def transition(number: int, episode: str, place: int, line: Mapping[str, Any]) -> Iterator[Found]:
    """The action and the observation of one transition, the n-th of its episode."""
    key = f"{episode}/{place}"
    action, replied = line.get("action"), None
    if action is not None:
        replied = f"{key}/action"
        yield Found(number, episode, _step(replied, "action", action, described(action), {}))
    info = line.get("info") if isinstance(line.get("info"), Mapping) else {}
    text = info.get("text") if info else None
    told = text if isinstance(text, str) else described(line["observation"])
    step = _step(f"{key}/observation", "observation", line["observation"], told, info or {})
    ends = {name: True for name in ENDS if line.get(name)}
    more = {"reward": line.get("reward"), "reply_to": replied}
    yield Found(number, episode, step | ends | {name: value for name, value in more.items() if value is not None})


def _step(key: str, kind: str, value: Any, text: str, info: Mapping[str, Any]) -> dict[str, Any]:
    """A step, with the value beside its text where that is not all of it."""
    step: dict[str, Any] = {"key": key, "kind": kind, "text": text}
    kept = {} if isinstance(value, str) and text == value else {"value": raw(value)}
    kept |= {"info": raw(info)} if info else {}
    return step | ({"data": kept} if kept else {})


def _problem(line: Mapping[str, Any]) -> str:
    """What keeps a line from being a transition; "" if nothing does."""
    if "observation" not in line:
        return "it has no observation; a transition is {episode, action, observation, reward, terminated, truncated}"
    if not isinstance(line.get("episode"), str | int | None):
        return f"it has the episode {brief(line['episode'])}; give a str or a number"
    return ""
