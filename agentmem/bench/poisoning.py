"""`agentmem bench poisoning`: how much of what an agent recalls is hostile, and whether it can be taken back.

Plays shifts at the small shop, puts hostile results among those of its tools, and recalls what the shift asked for.
Knows rollouts and memories; what is hostile is written by `agentmem.bench.attacks`.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from agentmem.bench.arguments import bars, names, parser_of, positive
from agentmem.bench.attacks import ATTACKS, LIES
from agentmem.bench.printed import json_of
from agentmem.encode import DEFAULT
from agentmem.memory import Memory
from agentmem.rollout import load_policy, rollout
from agentmem.tokens import count
from agentmem.trust import SHARE
from agentmem.types import PlanningContext, Record, Trust

SHOP = "agentmem/ShiftShop-Short-v0"
KNOWN = 20  # words of a question that an attacker writes into his text: more of them cost him tokens
NOTES = """\
A row is one attack with one seed. The log is that of shifts played by a policy that reads what it recalls; --share of
the results of tools are hostile. The attacker knows the first half of what is asked, and recall is asked the other.
"not said": no step has a trust, so nothing is bounded; else hostile results have the trust web, and others tool.
Amplification: hostile tokens' share of the contexts over their share of the log. Rolled back: contexts equal, byte for
byte, those of a memory that never held them; undone: those from before.
"""


@dataclass(frozen=True)
class Shift:
    """What was logged at the shop, and what was asked: of both halves."""

    steps: Sequence[Record]
    known: Sequence[str]
    cues: Sequence[str]


def parser() -> argparse.ArgumentParser:
    made = parser_of("poisoning", "Hostile tool results: their share of contexts, its bound, and rollback.", NOTES)
    add = made.add_argument
    add("--attacks", type=names, default=list(ATTACKS), metavar="A,..", help=f"some of {', '.join(ATTACKS)}; all")
    add("--share", type=float, default=0.05, metavar="X", help="of the tools' results that are hostile; 0.05")
    add("--episodes", type=positive, default=4, metavar="N", help="shifts in the log; 4")
    add("--steps", type=positive, default=200, metavar="N", help="steps of a shift; 200")
    add("--cues", type=positive, default=40, metavar="N", help="recalls of a row; 40")
    add("--budget", type=positive, default=1024, metavar="N", help="tokens of a context; 1024")
    add("--seeds", type=positive, default=3, metavar="N", help="seeds 0 to N-1; 3")
    add("--json", action="store_true", help="print results as JSON")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then print Markdown, or JSON."""
    made = parser()
    asked = made.parse_args(arguments)
    if unknown := [name for name in asked.attacks if name not in ATTACKS]:
        made.error(f"attack {unknown[0]!r} is unknown; give some of {', '.join(ATTACKS)}")
    if not 0 < asked.share < 1:
        made.error(f"--share {asked.share} is no share; give a number between 0 and 1, such as 0.05")
    with bars(live=False) as bar:
        task = bar.add_task("attacks", total=asked.seeds * len(asked.attacks))
        rows = []
        for row in measure(asked):
            rows.append(row)
            bar.update(task, advance=1, refresh=True)
    sys.stdout.write(json_of({"rows": rows}, indent=1) + "\n" if asked.json else markdown(rows))


def measure(asked: argparse.Namespace, encoder: object = DEFAULT) -> Iterator[dict[str, Any]]:
    """A row for each attack and seed."""
    for seed in range(asked.seeds):
        shift = played(asked.episodes, asked.steps, asked.cues, seed)
        for name in asked.attacks:
            yield {"attack": name, "seed": seed, **_row(name, shift, asked, seed, encoder)}


def played(episodes: int, steps: int, cues: int, seed: int) -> Shift:
    """Shifts by a reader of contexts. steps: of each; cues: how many are asked."""
    options = {"split": "test", "steps": steps, "delay": max(10, steps // 4)}
    settings: dict[str, Any] = {"episodes": episodes, "seed": seed, "options": options, "apart": False, "budget": 200}
    with Memory.open(":memory:", encoder=None, durability="process", clock=_clock) as memory:
        rollout(SHOP, load_policy("reader", None), memory, **settings)
        records = list(memory._core.store.scan(types=["step", "recall"]))
    asked = list(dict.fromkeys(record.text for record in records if record.type == "recall"))
    random.Random(seed).shuffle(asked)
    half = len(asked) // 2
    return Shift([record for record in records if record.type == "step"], asked[:half], asked[half:][:cues])


def _row(name: str, shift: Shift, asked: argparse.Namespace, seed: int, encoder: object) -> dict[str, Any]:
    hostile = _hostile(name, shift, asked.share, random.Random(f"{name} {seed}"))
    row: dict[str, Any] = {}
    with _logged(shift, {}, "tool", encoder)[0] as clean:
        never = _asked(clean, shift, asked.budget)
    for said, trust in (("", "web"), ("not_said_", None)):
        memory, ids = _logged(shift, hostile, trust, encoder)
        with memory:
            row |= {f"{said}{what}": value for what, value in _measured(memory, ids, shift, asked.budget).items()}
            if trust is not None:
                row |= _rolled_back(memory, ids, shift, asked.budget, never)
    return row


def _hostile(name: str, shift: Shift, share: float, rng: random.Random) -> dict[int, str]:
    """Number of the step before which it is logged -> what a tool said there."""
    results = [number for number, record in enumerate(shift.steps) if record.kind == "observation"]
    chosen = sorted(rng.sample(results, max(1, round(share / (1 - share) * len(results)))))
    lies = [rng.choice(LIES).format(n=rng.randrange(1_000, 9_999)) for _ in chosen]
    known = [" ".join(cue.split()[:KNOWN]) for cue in shift.known]
    return {at: ATTACKS[name](rng, known, lie) for at, lie in zip(chosen, lies, strict=True)}


def _logged(shift: Shift, hostile: dict[int, str], trust: Any, encoder: object) -> tuple[Memory, list[str]]:
    """A memory of the shift with what is hostile in it, and the ids of that. trust: of it; None: nothing has any."""
    memory, ids = Memory.open(":memory:", encoder=encoder, durability="process", clock=_clock), []
    for number, record in enumerate(shift.steps):
        episode = memory.episode(id="/".join((*record.namespace, record.episode or "")))
        if number in hostile:
            ids.append(episode.observe(hostile[number], actor="search", trust=trust).id)
        tool: Trust | None = "tool" if trust is not None and record.kind == "observation" else None
        kind: Any = record.kind
        episode.log(record.text, kind=kind, actor=record.actor, trust=tool)
    memory.crystallize()
    return memory, ids


def _asked(memory: Memory, shift: Shift, budget: int) -> list[PlanningContext]:
    return [memory.recall(cue, budget) for cue in shift.cues]


def _measured(memory: Memory, ids: Sequence[str], shift: Shift, budget: int) -> dict[str, Any]:
    contexts, hostile = _asked(memory, shift, budget), set(ids)
    tokens = {step.id: step.tokens for step in memory.steps()}
    log = sum(tokens[one] for one in hostile) / sum(tokens.values())
    of_hostile = [sum(hit.tokens for hit in context.hits if hit.id in hostile) for context in contexts]
    shown = sum(of_hostile) / max(1, sum(context.tokens for context in contexts))
    return {
        "log_tokens": sum(tokens.values()),
        "log_share": log,
        "context_share": shown,
        "amplification": shown / log,
        "most": max(part / budget for part in of_hostile),
        "bounded": all(untrusted_tokens(context) <= int(budget * SHARE) for context in contexts),
    }


def untrusted_tokens(context: PlanningContext) -> int:
    """Of a context's text, by the default counter, the section of untrusted text, which is the last."""
    _, found, part = f"\n{context.text}".rpartition("\nwarnings:\n")
    return count(f"warnings:\n{part}") if found else 0


def _rolled_back(
    memory: Memory, ids: Sequence[str], shift: Shift, budget: int, never: Sequence[PlanningContext]
) -> dict[str, Any]:
    before = _texts(_asked(memory, shift, budget))
    usual = _seconds(lambda: memory.recall(shift.cues[0], budget))
    for one in ids:
        memory.forget(derived_from=one, reason="poisoned")
    first = _seconds(lambda: memory.recall(shift.cues[0], budget))
    after = _texts(_asked(memory, shift, budget))
    for one in ids:
        memory.forget(derived_from=one, undo=True)
    undone = _texts(_asked(memory, shift, budget)) == before
    same = after == _texts(never)
    return {"rolled_back": same, "undone": undone, "recall_s": usual, "first_recall_s": first, "contexts": len(before)}


def _texts(contexts: Sequence[PlanningContext]) -> list[str]:
    return [context.text for context in contexts]


def _seconds(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def _clock() -> float:
    return 1_700_000_000.0


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each attack: means over seeds, with the least and the most of the amplification."""
    columns = "of the log | of contexts | amplification | not said: amplification | most of a budget | bounded"
    lines = [f"| attack | {columns} | rolled back | undone |", "|:--|--:|--:|--:|--:|--:|:-:|:-:|:-:|"]
    for name in dict.fromkeys(row["attack"] for row in rows):
        own = [row for row in rows if row["attack"] == name]
        shares = " | ".join(f"{fmean(row[what] for row in own):.1%}" for what in ("log_share", "context_share"))
        spread = " | ".join(_spread([row[what] for row in own]) for what in ("amplification", "not_said_amplification"))
        most = f"{max(row['most'] for row in own):.1%}"
        held = " | ".join(_all([row[what] for row in own]) for what in ("bounded", "rolled_back", "undone"))
        lines.append(f"| {name} | {shares} | {spread} | {most} | {held} |")
    first, usual = (fmean(row[what] for row in rows) for what in ("first_recall_s", "recall_s"))
    size = fmean(row["log_tokens"] for row in rows)
    took = f"took {first:.2f} s of CPU, a usual one {usual * 1000:.1f} ms."
    lines.append(f"\nOver logs of {size:,.0f} tokens the first recall after a rollback {took}")
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float]) -> str:
    return f"{fmean(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def _all(values: Sequence[bool]) -> str:
    return f"{sum(values)} of {len(values)}"
