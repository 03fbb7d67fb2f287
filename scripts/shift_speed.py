"""Print how fast the Shift environments are, and what the oracle, the rule and one who counts solve of them.

    python scripts/shift_speed.py [--seeds 5] [--steps 1000] [--split test]

Seconds are CPU seconds of this process, with candidates filled at every step.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from statistics import fmean
from typing import Any

import gymnasium

import agentmem_envs  # noqa: F401
from agentmem_envs.shift.env import DELAY, LONGEST
from agentmem_envs.shift.policies import Oracle, Rule, leaves
from agentmem_envs.shift.wrapper import Candidates

DOMAINS = ("Shop", "Retail", "Airline", "Telecom", "Banking")


class Seldom:
    """Chooses the call whose own values were offered least often so far in the shift; it reads no text."""

    def __init__(self) -> None:
        self._offered, self._random = Counter[str](), Random(0)

    def act(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> int:
        calls = [{*leaves(json.loads(line)["args"])} for line in observation["candidates"].split("\n")]
        own = [values - set.intersection(*calls) for values in calls]
        counts = [sum(self._offered[value] for value in values) for values in own]
        self._offered.update(value for values in own for value in values)
        return self._random.choice([place for place, count in enumerate(counts) if count == min(counts)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=whole(1), default=5)
    parser.add_argument("--steps", type=whole(DELAY + 1), default=1000, help="of a shift, more than its delay")
    parser.add_argument("--split", default="test", choices=("train", "test"))
    asked = parser.parse_args()
    print(f"{'':24}{'policy':>12}{'solved':>8}{'hidden':>8}{'stale':>8}{'share':>8}{'steps/s':>9}{'reset ms':>10}")
    for domain in DOMAINS:
        for drift in (False, True):
            made = gymnasium.make(
                f"agentmem/Shift{domain}-v0", split=asked.split, steps=asked.steps, drift=drift, privileged=True
            )
            policies: dict[str, Callable[[], Any]] = {
                "oracle": Oracle,
                "rule 99": lambda: Rule(99),
                "rule all": Rule,
                "seldom": Seldom,
            }
            for name, policy in policies.items():
                row = measured(Candidates(made), policy, asked.seeds)
                print(f"{domain + (' drift' if drift else ''):24}{name:>12}{row}", flush=True)


def whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or len(text) > 9 or not least <= int(text) <= LONGEST:
            raise argparse.ArgumentTypeError(f"{text}: give a whole number from {least} to {LONGEST:,}")
        return int(text)

    return read


def measured(env: Candidates, policy: Callable[[], Any], seeds: int) -> str:
    """One row, pooled over shifts: tickets solved, hidden decisions right and stale, hidden tickets' share, speeds."""
    results: list[dict[str, Any]] = []
    right: list[bool] = []
    stale: list[bool] = []
    steps, reset, used = 0, 0.0, 0.0
    env.reset(seed=0)
    for seed in range(seeds):
        start = time.process_time()
        observation, info = env.reset(seed=seed)
        begun, over, acts = time.process_time(), False, policy()
        while not over:
            observation, _, _, over, info = env.step(acts.act(observation, info))
            right += [info["right"]] if info["hidden"] else []
            stale += [info["stale"]] if info["hidden"] else []
            steps += 1
        reset, used = reset + begun - start, used + time.process_time() - begun
        results += info["results"]
    solved, hidden = ([result[key] for result in results] for key in ("solved", "hidden"))
    shares = "".join(share(each) for each in (solved, right, stale, hidden))
    return f"{shares}{steps / used:9.0f}{1000 * reset / seeds:10.1f}"


def share(told: Sequence[bool]) -> str:
    """A short shift may have no hidden decision."""
    return f"{fmean(told):8.3f}" if told else f"{'-':>8}"


if __name__ == "__main__":
    main()
