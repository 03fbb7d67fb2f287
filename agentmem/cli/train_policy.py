"""`agentmem train policy`: train a policy that acts with a memory. Knows options; the rest is in agentmem.policy."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from agentmem.bench.arguments import given_options
from agentmem.cli import show
from agentmem.cli.options import JsonOption, typed
from agentmem.cli.playing import look_here
from agentmem.cli.stopping import stoppable
from agentmem.cli.training import (
    REPORT,
    OutOption,
    ResumeOption,
    SeedOption,
    ThreadsOption,
    Train,
    check_seconds,
    command_of,
    go,
    notes_of,
)  # fmt: skip
from agentmem.errors import InvalidInputError

if TYPE_CHECKING:
    from agentmem.neural.runs import Command, Run
    from agentmem.neural.train import Trainer, TrainSettings
    from agentmem.policy import ChoicePolicy, PolicyLM
    from agentmem.policy.choice import ChoiceNetwork

    Policy = ChoicePolicy | PolicyLM
Network = TypeVar("Network", "ChoiceNetwork", "PolicyLM")

BUDGETS = "320,512,1024"
RATES = {"bc": 2e-3, "ppo": 1e-3}
"""Learning rates: docs/decisions/0012-policies.md, 15."""
OF_SHIFTS, OF_OTHERS = ("episodes", "rounds", "budgets"), ("algo", "luck", "acting", "clock")


def policy(
    ctx: typer.Context,
    env: Annotated[
        list[str], typer.Option("--env", metavar="ID", help="What to learn; of shifts several.", show_default=False)
    ],
    out: OutOption,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=JSON", help="A keyword of the environment; of a list one is drawn, not in shifts."
        ),
    ] = None,
    episodes: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="Of each shift, that are shown in a round.")
    ] = 4,
    rounds: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=100, help="Of showing and training; from the second on the pupil plays too."
        ),
    ] = 2,
    budgets: Annotated[
        str, typer.Option(metavar="N,N", help="Tokens of the contexts that are shown of shifts, in turn.")
    ] = BUDGETS,
    algo: Annotated[
        Literal["bc", "ppo"], typer.Option(help="bc imitates an oracle; ppo learns from rewards alone, not in shifts.")
    ] = "bc",
    luck: Annotated[
        float, typer.Option(metavar="P", min=0, max=1, help="Share of steps whose action is drawn; bc, not in shifts.")
    ] = 0.0,
    acting: Annotated[
        float,
        typer.Option(
            metavar="P", min=0, max=1, help="Share of batches that the pupil plays (DAgger); bc, not in shifts."
        ),
    ] = 0.0,
    clock: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=1_000, help="Sines that tell a step's number, for tasks of order; not in shifts."
        ),
    ] = 0,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A trained policy, or its file, to begin with; of one of other spaces how it remembers is taken.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="S", help="Of processor time, without the showing.")] = 600.0,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    threads: ThreadsOption = 1,
    json: JsonOption = False,
) -> None:
    """Train a policy: in shifts one that chooses calls, elsewhere one that remembers steps.

    A shift is shown once and kept in DIR/demonstrations; it takes half a minute. Ctrl-C saves and stops; the same
    command goes on. `agentmem rollout ... --policy DIR/model.safetensors` plays with it.
    """
    from agentmem.rollout.reading import is_shift

    look_here(*env)
    shifts = [each for each in env if is_shift(each)]
    if (shifts and len(shifts) < len(env)) or (not shifts and len(env) > 1):
        raise InvalidInputError(f"--env {', '.join(env)}: several shifts, or one other environment")
    if twice := [each for number, each in enumerate(env) if each in env[:number]]:
        raise InvalidInputError(f"--env {twice[0]} was given twice: give it once, and --episodes for more of it")
    _check_given(ctx, env[0], bool(shifts))
    for name, share in (("luck", luck), ("acting", acting)):
        if algo == "ppo" and share:
            raise InvalidInputError(f"--{name} {share:g} with --algo ppo: the pupil plays it all; leave --{name} out")
    check_seconds(seconds)
    sizes, options = _sizes(budgets), given_options(given or [])
    with stoppable("nothing is lost: run the same command again to go on"):
        with show.loading(", ".join(env)):
            _check(env, options, algo, episodes)
            begun = _begun(start)
        asked = {"episodes": episodes, "rounds": rounds, "budgets": budgets} if shifts else {
            "algo": algo, "luck": luck, "acting": acting, "clock": clock
        }  # fmt: skip
        typed = [f"--env {shlex.quote(each)}" for each in env] + [f"--set {shlex.quote(each)}" for each in given or []]
        command = command_of("policy", typed, [], out, ctx, **asked, start=start, seconds=seconds, seed=seed)
        if begun:
            command = replace(command, asked={**command.asked, "start": begun.name})  # what the file holds, too
        settings = _settings(out, command, resume, threads, algo, seed, seconds)
        if shifts:
            _choices(out, command, settings, env, options, episodes, rounds, sizes, begun, json)
        else:
            _steps(out, command, settings, env[0], options, asked, begun, json)


def _check(envs: list[str], options: dict[str, Any], algo: str, episodes: int) -> None:
    """Whether there is something to learn from, before a folder is begun."""
    from agentmem.policy.fits import check_shifts, check_steps
    from agentmem.rollout.reading import is_shift

    if not is_shift(envs[0]):
        check_steps(envs[0], options, oracle=algo == "bc")
        return
    for name, value in options.items():
        if isinstance(value, list):
            raise InvalidInputError(f"--set {name}={value}: shifts take one value; lists are for other environments")
    check_shifts(envs, {"split": "train", **options}, episodes)


def _settings(
    out: Path, command: Command, resume: bool, threads: int, algo: str, seed: int, seconds: float
) -> TrainSettings:
    from agentmem.neural.runs import check, use_threads
    from agentmem.neural.train import TrainSettings

    use_threads(threads)
    check(out, command, resume)
    return TrainSettings(seed, seconds, learning_rate=RATES[algo], report_every=REPORT)


def _check_given(ctx: typer.Context, env: str, shift: bool) -> None:
    """InvalidInputError for an option that does nothing in environments such as this."""
    for name in typed(ctx, *(OF_OTHERS if shift else OF_SHIFTS)):
        what = "is not for shifts" if shift else "is for shifts alone"
        raise InvalidInputError(f"{name} with --env {env}: it {what}; leave it out")


def _choices(
    out: Path, command: Command, settings: Any, envs: list[str], options: dict[str, Any], episodes: int, rounds: int,
    sizes: list[int], begun: Policy | None, json: bool,
) -> None:  # fmt: skip
    from agentmem.neural.train import Trainer
    from agentmem.policy.bc import ChoiceImitation, imitate, rounds_of
    from agentmem.policy.choosing import ChoicePolicy
    from agentmem.policy.reference import choice_network

    shown = rounds_of(envs, {"split": "train", **options}, episodes, rounds, sizes, settings.seed)
    objective = ChoiceImitation()
    trainer = Trainer(_with(choice_network(settings.seed), begun), objective, settings)

    def how(run: Run) -> Train:
        return lambda *watched: imitate(run, trainer, objective, shown, *watched)

    _train(out, command, trainer, ChoicePolicy(trainer.model).save, json, how)


def _steps(
    out: Path, command: Command, settings: Any, env: str, options: dict[str, Any], how: dict[str, Any],
    begun: Policy | None, json: bool,
) -> None:  # fmt: skip
    from agentmem.neural.train import Trainer
    from agentmem.policy.bc import StepImitation
    from agentmem.policy.ppo import ReinforcedTraining
    from agentmem.policy.reference import drawn, policy_lm

    make = drawn(env, options)
    with make() as probe:
        model = _with(policy_lm(probe, settings.seed, how["clock"]), begun)
    imitates = how["algo"] == "bc"
    objective = StepImitation(make, how["luck"], acting=how["acting"]) if imitates else ReinforcedTraining(make)
    trainer = Trainer(model, objective, settings)
    _train(out, command, trainer, model.save, json)


def _begun(start: str | None) -> Policy | None:
    from agentmem.policy import load_trained

    return load_trained(start) if start is not None else None


def _with(network: Network, begun: Policy | None) -> Network:
    from agentmem.policy.files import begin_with

    if begun:
        begin_with(network, begun)
    return network


def _train(
    out: Path, command: Command, trainer: Trainer[Any], save: Any, json: bool, how: Any = lambda run: None
) -> None:
    from agentmem.neural.runs import Run

    def save_model(path: Path) -> None:
        save(path, command.line, notes_of(command, trainer))

    with Run(out, command, trainer, save_model) as run:
        go(run, json, how(run))


def _sizes(given: str) -> list[int]:
    from agentmem.tokens import MOST_TOKENS

    try:
        sizes = [int(each) for each in given.split(",")]
    except ValueError:
        sizes = [0]
    if not 1 <= min(sizes) <= max(sizes) <= MOST_TOKENS:
        raise InvalidInputError(
            f"--budgets {given!r}: give whole numbers of tokens from 1 to {MOST_TOKENS:,}, with commas between"
        )
    return sizes
