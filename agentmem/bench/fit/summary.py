"""What was fitted and what it reaches, as a value that JSON can hold.

    results = {settings, weights: {start, A, B}, parts: {A: part, B: part}}
    part    = {files, types, questions, rounds, over, systems: {bm25, start, A, B: scores},
               gain: {from, to, mean, error}, remains}
    scores  = {mean, evidence, all, exact, files: {file: mean}}

Of a part, the system of the same name was fitted on its questions and the other one on none of them. remains: the other
one's lead over BM25, as a share of the lead of the one fitted here. Knows searches; nothing of how it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agentmem.bench.fit.ready import PARTS
from agentmem.bench.fit.search import METRICS, Aim, Gain, State
from agentmem.bench.recall.memories import SIGNALS
from agentmem.recall import Weights


def summarize(
    settings: Mapping[str, Any], start: Weights, aims: Mapping[str, Aim], states: Mapping[str, State]
) -> dict[str, Any]:
    """See the module. states: of the searches that began."""
    chosen = {"start": start} | {part: state.weights for part, state in states.items()}
    return {
        "settings": dict(settings),
        "weights": {name: asdict(weights) for name, weights in chosen.items()},
        "parts": {part: _part(part, aims[part], chosen, states.get(part)) for part in PARTS},
    }


def _part(part: str, aim: Aim, chosen: Mapping[str, Weights], state: State | None) -> dict[str, Any]:
    systems = {"bm25": _scores(aim, None)} | {name: _scores(aim, weights) for name, weights in chosen.items()}
    places = [question.place for question in aim.questions]
    return {
        "files": {file: len({place.history for place in places if place.file == file}) for file in aim.files},
        "types": len({(place.file, place.type) for place in places}),
        "questions": len(places),
        "rounds": -(-state.tried // len(SIGNALS)) if state else 0,
        "over": bool(state and state.over),
        "systems": systems,
    } | _held_out(part, aim, chosen, systems)


def _held_out(
    part: str, aim: Aim, chosen: Mapping[str, Weights], systems: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """What the weights fitted on the other part gain here."""
    other = PARTS[1 - PARTS.index(part)]
    if part not in chosen or other not in chosen:
        return {}
    gain = Gain.of(aim.parts(chosen[other]), aim.parts(chosen["start"]))
    lead = {name: systems[name]["mean"] - systems["bm25"]["mean"] for name in PARTS}
    return {
        "gain": {"from": "start", "to": other, "mean": gain.mean, "error": gain.error},
        "remains": lead[other] / lead[part] if lead[part] > 0 else None,
    }


def _scores(aim: Aim, weights: Weights | None) -> dict[str, Any]:
    means = aim.means(weights)
    files = {file: sum(scores.values()) / len(scores) for file, scores in means.items()}
    found: dict[str, Any] = {"mean": sum(files.values()) / len(files)}
    for metric in METRICS:
        told = [scores[metric] for scores in means.values() if metric in scores]
        found[metric] = sum(told) / len(told) if told else None
    return found | {"files": files}
