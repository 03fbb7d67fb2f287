"""What `agentmem bench environments` can measure, and the arguments of each. Loads no torch, so that a mistyped option
is refused at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from agentmem.bench.arguments import positive, some_of
from agentmem.bench.neural.options import Asked, seeds

LENGTHS = (100, 1_000, 10_000, 100_000, 1_000_000)
LEVELS = ("Easy", "Medium", "Hard")
POPGYM = ("RepeatFirst", "RepeatPrevious", "Autoencode", "Concentration", "CountRecall")
MINIGRID = ("MemoryS13", "MemoryS13Random", "MemoryS17Random")
TASKS = {f"{name}{level}": f"popgym:popgym-{name}{level}-v0" for name in POPGYM for level in LEVELS} | {
    name: f"minigrid:MiniGrid-{name}-v0" for name in MINIGRID
}
OURS, RECURRENT_PPO = "policy-lm", "recurrent-ppo"
MODELS = (OURS, "gru", "windowed", "none", RECURRENT_PPO)
IMITATION, REINFORCED = "imitation", "ppo"

MAZES_NOTES = """
The T-maze shows at its first step which arm is right at the end of the corridor.
A corridor has two episodes, one for each arm; all seeds play one of these, so
both are played, every action by the policy, and n seeds are counted by them.

  agentmem bench environments mazes --lengths 100,1000,10000
"""
TASKS_NOTES = """
Each model is trained for as many processor-seconds on one thread, with as many
parameters, and then plays 100 unseen episodes, always its likeliest action.

  imitation  of an oracle that looks into the environment. It also says which
             earlier step showed what an action turns on; policy-lm learns from
             that too, the others have no use for it
  ppo        online, from rewards alone

  The action before is told in Concentration alone, which asks for it: whoever
  is told can remember by acting.

  policy-lm, gru, windowed, none   one encoder, one trainer; they differ in what
             remembers. A windowed transformer sees 128 steps
  recurrent-ppo   sb3-contrib's, with its own sizes; by ppo alone

A row that the folder has is not trained again, one that was interrupted goes on.

  agentmem bench environments tasks --tasks RepeatFirstHard --by ppo --out runs
"""


def add_mazes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--policy", default="tmaze", metavar="NAME", help="a trained policy, or its file; %(default)s")
    add("--lengths", type=_lengths, default=LENGTHS, metavar="N,N", help="of corridors; up to 1000000")
    add("--seeds", type=positive, default=32, metavar="N", help="that are counted; %(default)s")


def add_tasks(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--tasks", type=some_of(tuple(TASKS)), default=list(TASKS), metavar="NAME,NAME", help=f"of {', '.join(TASKS)}")
    add("--models", type=some_of(MODELS), default=list(MODELS), metavar="NAME,NAME", help=f"of {', '.join(MODELS)}")
    add("--by", choices=(IMITATION, REINFORCED), default=IMITATION, help="how they are trained; %(default)s")
    add("--seeds", type=seeds, default=[0, 1, 2], metavar="S,S", help="of trainings; 0,1,2")
    add("--seconds", type=positive, default=120, metavar="S", help="of processor time, for each; %(default)s")
    add("--out", type=Path, required=True, metavar="DIR", help="where rows are kept, and table.md written")


def _lengths(text: str) -> list[int]:
    from agentmem_envs.tmaze import LONGEST

    lengths = [positive(each) for each in text.split(",")]
    if max(lengths) > LONGEST:
        raise argparse.ArgumentTypeError(f"{max(lengths)} is too long: {LONGEST} at most")
    return lengths


MEASUREMENTS = {
    "mazes": Asked("The return of a trained policy in T-mazes, by length.", MAZES_NOTES, add_mazes),
    "tasks": Asked("Memory tasks of POPGym and MiniGrid, by model.", TASKS_NOTES, add_tasks),
}
