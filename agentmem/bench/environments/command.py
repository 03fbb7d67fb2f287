"""The arguments of `agentmem bench environments`, and its table."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from agentmem.bench.arguments import bars, parser_of, positive

NOTES = """
The T-maze shows at its first step which arm is right at the end of the corridor.
A corridor has two episodes, one for each arm; all seeds play one of these, so
both are played, every action by the policy, and n seeds are counted by them.

  agentmem bench environments --lengths 100,1000,10000
"""
LENGTHS = (100, 1_000, 10_000, 100_000, 1_000_000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Play, and print a table or JSON."""
    parser = parser_of("environments", "The return of a trained policy in T-mazes, by length.", NOTES)
    parser.add_argument("--policy", default="tmaze", metavar="NAME", help="a trained policy, or its file; %(default)s")
    parser.add_argument("--lengths", type=_lengths, default=LENGTHS, metavar="N,N", help="of corridors; up to 1000000")
    parser.add_argument("--seeds", type=positive, default=32, metavar="N", help="that are counted; %(default)s")
    parser.add_argument("--json", action="store_true", help="print results as JSON")
    asked = parser.parse_args(arguments)
    rows = list(_rows(asked.policy, asked.lengths, asked.seeds))
    print(json.dumps({"policy": asked.policy, "rows": rows}) if asked.json else _table(rows))


def _lengths(text: str) -> list[int]:
    from agentmem_envs.tmaze import LONGEST

    lengths = [positive(each) for each in text.split(",")]
    if max(lengths) > LONGEST:
        raise argparse.ArgumentTypeError(f"{max(lengths)} is too long: {LONGEST} at most")
    return lengths


def _rows(policy: str, lengths: Sequence[int], seeds: int) -> Iterator[dict[str, Any]]:
    import gymnasium

    import agentmem_envs  # noqa: F401
    from agentmem.bench.environments.ahead import Ended, played
    from agentmem.policy import PolicyLM, load_trained
    from agentmem.policy.choosing import one_thread

    acting = load_trained(policy)
    assert isinstance(acting, PolicyLM)
    for length in lengths:
        ended: dict[str, Ended] = {}
        began, arms = time.process_time(), []
        with bars() as bar, one_thread():
            task = bar.add_task(f"{length:,} steps", total=length)
            for seed in range(seeds):
                env = gymnasium.make("agentmem/TMaze-v0", length=length).unwrapped
                arms.append(str(env.reset(seed=seed)[0].tolist()))
                if arms[-1] not in ended:
                    ended[arms[-1]] = played(
                        acting, env, seed, lambda steps, task=task: bar.update(task, completed=steps)  # type: ignore[misc]
                    )  # fmt: skip
        returns = [ended[arm].reward for arm in arms]
        yield {
            "environment": "TMaze", "length": length, "n": seeds, "return_mean": sum(returns) / seeds,
            "solved": sum(each == 1 for each in returns) / seeds, "episodes_played": len(ended),
            "atom_bytes": max(each.atom_bytes for each in ended.values()),
            "seconds": round(time.process_time() - began, 1),
        }  # fmt: skip


def _table(rows: Sequence[dict[str, Any]]) -> str:
    said = ["| corridor | n | solved | return | bytes of atoms | processor-seconds |", "|--:|--:|--:|--:|--:|--:|"]
    said += [
        f"| {row['length']:,} | {row['n']} | {row['solved']:.3f} | {row['return_mean']:.3f} | {row['atom_bytes']:,} | "
        f"{row['seconds']} |"
        for row in rows
    ]
    return "\n".join(said)
