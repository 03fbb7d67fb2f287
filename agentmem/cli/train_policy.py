"""`agentmem train policy`: train a policy that acts with a memory. Knows options; the rest is in agentmem.policy."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agentmem.cli.options import JsonOption
from agentmem.cli.training import REPORT, OutOption, ResumeOption, SeedOption, ThreadsOption, command_of, go, notes_of
from agentmem.errors import InvalidInputError

BUDGETS = "320,512,1024"


def policy(
    env: Annotated[
        list[str], typer.Option("--env", metavar="ID", help="A shift to learn from; repeatable.", show_default=False)
    ],
    out: OutOption,
    episodes: Annotated[int, typer.Option(metavar="N", min=1, help="Of each environment, that are shown a round.")] = 4,
    rounds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Of showing and training; from the second on the pupil plays too.")
    ] = 2,
    budgets: Annotated[
        str, typer.Option(metavar="N,N", help="Tokens of the contexts that are shown, in turn.")
    ] = BUDGETS,
    seconds: Annotated[float, typer.Option(metavar="S", help="Of processor time, without the showing.")] = 600.0,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    threads: ThreadsOption = 1,
    json: JsonOption = False,
) -> None:
    """Train a policy that chooses calls in shifts, by imitation of their oracle.

    An episode of the train split is shown once and kept in DIR/demonstrations; it takes half a minute. Ctrl-C saves and
    stops; the same command goes on. `agentmem rollout ... --policy DIR/model.safetensors` plays with it.
    """
    from agentmem.neural.runs import Run, check, use_threads
    from agentmem.neural.train import Trainer, TrainSettings
    from agentmem.policy.bc import ChoiceImitation, imitate, rounds_of
    from agentmem.policy.choosing import ChoicePolicy, seeded

    sizes = _sizes(budgets)
    command = command_of(
        "policy", [f"--env {each}" for each in env], [], out,
        episodes=episodes, rounds=rounds, budgets=budgets, seconds=seconds, seed=seed,
    )  # fmt: skip
    use_threads(threads)
    check(out, command, resume)
    shown = rounds_of(env, {"split": "train"}, episodes, rounds, sizes, seed)
    objective = ChoiceImitation()
    trainer = Trainer(seeded(seed), objective, TrainSettings(seed, seconds, learning_rate=2e-3, report_every=REPORT))
    made, notes = ChoicePolicy(trainer.model), notes_of(command, trainer)
    with Run(out, command, trainer, lambda path: made.save(path, command.line, notes)) as run:
        go(run, json, lambda *how: imitate(run, trainer, objective, shown, *how))


def _sizes(given: str) -> list[int]:
    try:
        sizes: list[Any] = [int(each) for each in given.split(",")]
    except ValueError:
        sizes = [0]
    if min(sizes) < 1:
        raise InvalidInputError(f"--budgets {given!r}: whole numbers of tokens, 1 or more, between commas")
    return sizes
