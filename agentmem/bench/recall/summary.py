"""Tallies to one JSON value: per file and system, and the macro mean over files that ask enough questions.

    {settings, systems: [name], files: [{data, format, histories, questions, tokens, systems: {name: figures}}],
     macro: {name: figures}}
    figures  = {scores: {metric: {budget: mean}}, bounds, sessions: {metric: mean}, difference: {from, scores},
                types: {metric: {budget: {type: [mean, n]}}}, ages: {budget: [{upto, mean, n}]},
                bytes, seconds: {part: per million tokens}, recall_ms: {p50, p99}, overruns}
    mean     = {mean, low, high, n, files}

`files` stands in the macro alone, which has no types. Knows tallies; nothing of how they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentmem.bench.recall.measure import Measured
from agentmem.bench.recall.tally import AGE, Draws, Key, Spread, Tally, average

METRICS = ("evidence", "all", "exact", "luck")
ABOVE_LUCK = "exact_minus_luck"
BOUNDS = ("bound_evidence", "bound_exact")
SESSIONS = ("recall_all@5", "recall_any@5", "ndcg_any@10")
LEAST = 20
"""Questions of a kind that a file must ask to count in the macro mean of it."""
Spreads = Mapping[Key, Spread]


def summarize(settings: Mapping[str, Any], files: Sequence[Measured], budgets: Sequence[int]) -> dict[str, Any]:
    """See the module. settings: said again as they are."""
    names = list(dict.fromkeys(name for file in files for name in file.tallies))
    spreads = [{name: _spreads(tally, draws) for name, tally in file.tallies.items()} for file, draws in _drawn(files)]
    return {
        "settings": dict(settings),
        "systems": names,
        "files": [_file(file, own, budgets) for file, own in zip(files, spreads, strict=True)],
        "macro": {name: _macro(name, spreads, budgets) | _cost(name, files) for name in names},
    }


def _drawn(files: Sequence[Measured]) -> list[tuple[Measured, Draws]]:
    return [(file, Draws(len(file.data.histories), seed)) for seed, file in enumerate(files)]


def _spreads(tally: Tally, draws: Draws) -> dict[Key, Spread]:
    found = {key: spread for key, rows in tally.rows.items() if (spread := draws.spread(rows)) is not None}
    for metric, budget in list(found):
        if metric == "exact" and (luck := found.get(Key("luck", budget))) is not None:
            found[Key(ABOVE_LUCK, budget)] = found[Key(metric, budget)].minus(luck)
    return found


def _file(file: Measured, spreads: Mapping[str, Spreads], budgets: Sequence[int]) -> dict[str, Any]:
    return {
        "data": file.data.name,
        "format": file.data.format,
        "histories": len(file.data.histories),
        "questions": max((len(tally.milliseconds) for tally in file.tallies.values()), default=0),
        "tokens": file.tokens,
        "systems": {
            name: _scores(own, budgets)
            | _difference(name, spreads, budgets)
            | {"types": _types(file.tallies[name])}
            | _cost(name, [file])
            for name, own in spreads.items()
        },
    }


def _scores(spreads: Spreads, budgets: Sequence[int]) -> dict[str, Any]:
    scores = {
        metric: {str(budget): _told(spreads[key]) for budget in budgets if (key := Key(metric, budget)) in spreads}
        for metric in (*METRICS, ABOVE_LUCK)
    }
    plain = {key.metric: _told(spread) for key, spread in spreads.items() if not key.budget}
    return {
        "scores": scores,
        "bounds": {metric: plain[metric] for metric in BOUNDS if metric in plain},
        "sessions": {metric: plain[metric] for metric in SESSIONS if metric in plain},
    }


def _told(spread: Spread) -> dict[str, Any]:
    low, high = spread.interval() or (None, None)
    return {"mean": spread.mean, "low": low, "high": high, "n": spread.n}


def _difference(name: str, spreads: Mapping[str, Spreads], budgets: Sequence[int]) -> dict[str, Any]:
    """Of a system with a signal off from the one with all: resampled alike, so its interval is a paired one."""
    whole, off, _ = name.rpartition(" -")
    if not off:
        return {}
    pairs = {key: spread.minus(spreads[whole][key]) for key, spread in spreads[name].items() if key in spreads[whole]}
    return {"difference": {"from": whole, "scores": _scores(pairs, budgets)["scores"]}}


def _macro(name: str, files: Sequence[Mapping[str, Spreads]], budgets: Sequence[int]) -> dict[str, Any]:
    """The mean over files of each score that at least `LEAST` questions of the file have."""
    own = [_enough(file[name]) for file in files if name in file]
    told = _scores(_averaged(own), budgets)
    whole, off, _ = name.rpartition(" -")
    if off:
        parted = [_minus(_enough(file[name]), file[whole]) for file in files if name in file]
        told["difference"] = {"from": whole, "scores": _scores(_averaged(parted), budgets)["scores"]}
    for metric, budgeted in told["scores"].items():
        for budget, mean in budgeted.items():
            mean["files"] = sum(Key(metric, int(budget)) in file for file in own)
    return told


def _enough(spreads: Spreads) -> dict[Key, Spread]:
    return {key: spread for key, spread in spreads.items() if spread.n >= LEAST}


def _minus(spreads: Spreads, whole: Spreads) -> dict[Key, Spread]:
    return {key: spread.minus(whole[key]) for key, spread in spreads.items() if key in whole}


def _averaged(files: Sequence[Spreads]) -> dict[Key, Spread]:
    keys = dict.fromkeys(key for file in files for key in file)
    means = {key: average(file[key] for file in files if key in file) for key in keys}
    return {key: mean for key, mean in means.items() if mean is not None}


def _types(tally: Tally) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in tally.rows:
        if key.budget:
            found.setdefault(key.metric, {})[str(key.budget)] = tally.by_type(key)
    return found


def _ages(tallies: Iterable[Tally]) -> dict[str, Any]:
    """budget -> share of the evidence steps found, by tokens logged since."""
    summed: dict[tuple[int, int], list[int]] = {}
    for tally in tallies:
        for key, (found, n) in tally.ages.items():
            counts = summed.setdefault(key, [0, 0])
            counts[0] += found
            counts[1] += n
    told: dict[str, Any] = {}
    for (budget, age), (found, n) in sorted(summed.items()):
        told.setdefault(str(budget), []).append({"upto": AGE * 2**age, "mean": found / n, "n": n})
    return told


def _cost(name: str, files: Sequence[Measured]) -> dict[str, Any]:
    """Bytes and seconds per million tokens logged, latency and overruns, over all files the system answered for."""
    having = [file for file in files if name in file.tallies]
    tallies, millions = [file.tallies[name] for file in having], sum(file.tokens for file in having) / 1e6 or 1.0
    pooled = Tally(milliseconds=[took for tally in tallies for took in tally.milliseconds])
    return {
        "bytes": {part: size / millions for part, size in _summed([tally.bytes for tally in tallies]).items()},
        "seconds": {part: took / millions for part, took in _summed([tally.seconds for tally in tallies]).items()},
        "recall_ms": {"p50": pooled.latency(0.5), "p99": pooled.latency(0.99)},
        "overruns": sum(tally.overruns for tally in tallies),
        "ages": _ages(tallies),
    }


def _summed(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in parts for name in one)
    return {name: sum(one.get(name, 0) for one in parts) for name in names}
