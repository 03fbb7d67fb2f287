"""What `agentmem bench environments` can measure, and the arguments of each. Loads no torch, so that a mistyped option
is refused at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentmem.bench.arguments import amount, names, path_of, positive, some_of
from agentmem.bench.neural.options import Asked, seeds

LENGTHS = (100, 1_000, 10_000, 100_000, 1_000_000)
LEVELS = ("Easy", "Medium", "Hard")
POPGYM = ("RepeatFirst", "RepeatPrevious", "Autoencode", "Concentration", "CountRecall")
MINIGRID = ("MemoryS13", "MemoryS13Random", "MemoryS17Random")


@dataclass(frozen=True)
class Task:
    """env: its id. options: keywords of it, of lists one each time. luck: share of a demonstration's actions that are
    drawn. clock: sines that tell all models the number of a step, which tasks of order need.
    """

    env: str
    options: Mapping[str, Any] = field(default_factory=dict)
    luck: float = 0.1
    clock: int = 16


TASKS = {f"{name}{level}": Task(f"popgym:popgym-{name}{level}-v0") for name in POPGYM for level in LEVELS} | {
    name: Task(f"minigrid:MiniGrid-{name}-v0") for name in MINIGRID
}
MAZE = "TMaze"
MAZES = {MAZE: Task("agentmem/TMaze-v0", {"length": [10, 30, 100, 300, 1_000]}, luck=0, clock=0)}
"""As the policy `tmaze` was trained; a clock says nothing of lengths that no training has reached."""
OURS, RECURRENT_PPO = "policy-lm", "recurrent-ppo"
TRAINED = (OURS, "gru", "windowed", "none")
MODELS = (*TRAINED, RECURRENT_PPO)
IMITATION, REINFORCED = "imitation", "ppo"
SHIFTS = ("agentmem/ShiftRetail-v0", "agentmem/ShiftRetail-Drift-v0")
GRU, NEEDED = "gru", "needed"
MEMORIES = ("crystals", NEEDED, "window", "full", "none", GRU)
DESKS = tuple(f"agentmem/Shift{desk}-Drift-v0" for desk in ("Retail", "Airline", "Telecom", "Banking", "Shop"))
MOST_STEPS = 100_000_000
"""Of a training: some days of one."""
EPISODES, BUDGET = 8, 512
"""Of each desk, that a GRU is shown; tokens of a context."""

MAZES_NOTES = """
The T-maze shows at its first step which arm is right at the end of the corridor.
A corridor has two episodes, one for each arm; all seeds play one of these, so
both are played, every action by the policy, and n episodes are counted by them.

Beside the policy stand --models, which imitate the oracle on as many steps of
mazes of 10 to 1,000 steps, with as many parameters; bytes are those that one
carries at the end. A training that DIR has is not begun again, and one that was
interrupted goes on.

  agentmem bench environments mazes --lengths 100,1000,10000
  agentmem bench environments mazes --models gru --steps 400k --out runs/mazes
"""
TASKS_NOTES = """
Each model is trained on as many steps, with as many parameters, and then plays
100 episodes of seeds that were not trained on, always its likeliest action. Of
MiniGrid's mazes there are only some hundred different ones, so most of these
were seen in training. Processor-seconds are those of training, on one thread.

  imitation  of an oracle that looks into the environment. It also says which
             earlier step showed what an action turns on: all but none are
             trained to tell what was seen there, policy-lm to read it as well
  ppo        online, from rewards alone

  By both (but for recurrent-ppo) the first 64 steps of episodes are learned
  first, twice as many after each tenth of --steps.

  The action before is told in Concentration alone, which asks for it: whoever
  is told can remember by acting.

  policy-lm, gru, windowed, none   one encoder, one trainer; they differ in what
             remembers. Attention reaches 129 steps back, in policy-lm and in the
             windowed transformer; what is older policy-lm reads of crystals
  recurrent-ppo   sb3-contrib's, with its own sizes; by ppo alone

A row that the folder has is not trained again. One that was interrupted goes on,
and plays its demonstrations again; recurrent-ppo begins anew.

  agentmem bench environments tasks --tasks RepeatFirstHard --by ppo --out runs
"""
SHIFTS_NOTES = f"""
A row is one shift by one policy, always its likeliest call; of its customers
none was trained on. The memories differ in what the policy is shown:

  crystals, window   within --budget tokens: what is recalled, the newest steps
  full, none         the whole log, nothing
  needed             within --budget tokens: where a call turns on what was shown
                     before, the lines that say it, of its last valid showing,
                     those that say what it superseded, and the line before each.
                     What memory would be that always found just these; where
                     nothing of before is needed, what is recalled
  gru                in place of the policy a GRU with as many parameters, which
                     sees every observation in order, the first 48 words of it
                     (all of a retail one, most of a banking one), and is shown
                     nothing. It imitates the oracle in the shifts of --shown

  stale              of the decisions that had a superseded value, those that
                     chose it; one of eight calls is right
  kB kept            of the log, and with crystals of these: every step is
                     logged, whatever is shown

Without --shown, {EPISODES} shifts of each of {len(DESKS)} desks are played and kept in DIR, which
takes half a minute each. A row that the folder has is not played again, and a
training of the GRU that was interrupted goes on.

  agentmem bench environments shifts --shown runs/shift/demonstrations --out rows
"""


def add_mazes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--policy", default="tmaze", metavar="NAME", help="a trained policy, or its file; %(default)s")
    add("--lengths", type=_lengths, default=LENGTHS, metavar="N,N", help="of corridors; up to 1000000")
    add("--episodes", type=positive, default=32, metavar="N", help="of each length, that are counted; %(default)s")
    add("--models", type=some_of(TRAINED), default=[], metavar="NAME,NAME", help=f"of {', '.join(TRAINED)}; none")
    _add_trainings(add)
    add("--out", type=path_of, metavar="DIR", help="where the results of --models are kept")


def add_tasks(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--tasks", type=some_of(tuple(TASKS)), default=list(TASKS), metavar="NAME,NAME", help=f"of {', '.join(TASKS)}")
    add("--models", type=some_of(MODELS), default=list(MODELS), metavar="NAME,NAME", help=f"of {', '.join(MODELS)}")
    add("--by", choices=(IMITATION, REINFORCED), default=IMITATION, help="how they are trained; %(default)s")
    _add_trainings(add)
    add("--out", type=path_of, required=True, metavar="DIR", help="where rows are kept, and table.md written")


def _add_trainings(add: Callable[..., Any]) -> None:
    add("--seeds", type=seeds, default=[0, 1, 2], metavar="S,S", help="of trainings; 0,1,2")
    add("--steps", type=_steps, default=1_000_000, metavar="N", help="of training, for each, such as 400k; 1m")


def add_shifts(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--envs", type=names, default=list(SHIFTS), metavar="ID,ID", help=f"shifts; {','.join(SHIFTS)}")
    add(
        "--memory",
        type=some_of(MEMORIES),
        default=list(MEMORIES),
        metavar="KIND,KIND",
        help=f"of {', '.join(MEMORIES)}",
    )
    add(
        "--policy",
        default="shift",
        metavar="NAME",
        help="as in agentmem rollout, but neither chat:MODEL nor oracle",
    )
    add("--budget", type=positive, default=BUDGET, metavar="N", help="tokens of a context; %(default)s")
    add("--seeds", type=seeds, default=[0, 1, 2], metavar="S,S", help="of shifts; 0,1,2")
    add("--set", action="append", default=[], dest="given", metavar="NAME=JSON", help="a keyword of the environments")
    add("--shown", type=path_of, metavar="DIR", help="the `demonstrations` of a training, which the gru learns from")
    add("--seconds", type=positive, default=900, metavar="S", help="of processor time, for the gru; %(default)s")
    add("--out", type=path_of, required=True, metavar="DIR", help="where rows are kept, and table.md written")


def _steps(text: str) -> int:
    return amount(text, MOST_STEPS)


def _lengths(text: str) -> list[int]:
    from agentmem_envs.tmaze import LONGEST

    lengths = [positive(each) for each in text.split(",")]
    if max(lengths) > LONGEST:
        raise argparse.ArgumentTypeError(f"{max(lengths)} is too long: {LONGEST} at most")
    return lengths


MEASUREMENTS = {
    "mazes": Asked("The return of a trained policy in T-mazes, by length.", MAZES_NOTES, add_mazes),
    "shifts": Asked("A policy in shifts, by what it is shown, beside a GRU.", SHIFTS_NOTES, add_shifts),
    "tasks": Asked("Memory tasks of POPGym and MiniGrid, by model.", TASKS_NOTES, add_tasks),
}
