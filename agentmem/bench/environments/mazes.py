"""`agentmem bench environments mazes`: a trained policy in T-mazes, by length. Knows policies and the T-maze."""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from agentmem.bench.arguments import bars

if TYPE_CHECKING:
    from agentmem.policy import PolicyLM


MAZE = "agentmem/TMaze-v0"


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Raises InvalidInputError for a policy that is none of steps, or of another environment."""
    from agentmem.errors import InvalidInputError
    from agentmem.policy import PolicyLM, load_trained
    from agentmem.policy.fits import check_acts
    from agentmem.rollout.making import about, maker

    policy = load_trained(asked.policy)
    if not isinstance(policy, PolicyLM):
        raise InvalidInputError(f"--policy {asked.policy} chooses calls and walks no maze: name one of steps, as tmaze")
    check_acts(policy, asked.policy, MAZE, about(maker(MAZE, {"length": asked.lengths[0]})))
    return {"policy": asked.policy, "rows": [_row(policy, length, asked.seeds) for length in asked.lengths]}


def _row(policy: PolicyLM, length: int, seeds: int) -> dict[str, Any]:
    import gymnasium

    import agentmem_envs  # noqa: F401
    from agentmem.bench.environments.ahead import Ended, played
    from agentmem.policy.choosing import one_thread

    ended: dict[str, Ended] = {}
    began = time.process_time()
    env = gymnasium.make(MAZE, length=length).unwrapped
    arms = [str(env.reset(seed=seed)[0].tolist()) for seed in range(seeds)]
    with bars() as bar, one_thread():
        task = bar.add_task(f"{length:,} steps", total=length * len(set(arms)))
        for arm in dict.fromkeys(arms):
            report = partial(_shown, bar, task, len(ended) * length)
            ended[arm] = played(policy, env, arms.index(arm), report)
    returns = [ended[arm].reward for arm in arms]
    return {
        "environment": "TMaze", "length": length, "n": seeds, "return_mean": sum(returns) / seeds,
        "solved": sum(each == 1 for each in returns) / seeds, "episodes_played": len(ended),
        "atom_bytes": max(each.atom_bytes for each in ended.values()),
        "seconds": round(time.process_time() - began, 1),
    }  # fmt: skip


def _shown(bar: Any, task: Any, before: int, steps: int) -> None:
    bar.update(task, completed=before + steps)


def markdown(results: dict[str, Any]) -> str:
    said = ["| corridor | n | solved | return | bytes of atoms | processor-seconds |", "|--:|--:|--:|--:|--:|--:|"]
    said += [
        f"| {row['length']:,} | {row['n']} | {row['solved']:.3f} | {row['return_mean']:.3f} | {row['atom_bytes']:,} | "
        f"{row['seconds']} |"
        for row in results["rows"]
    ]
    return "\n".join(said)
