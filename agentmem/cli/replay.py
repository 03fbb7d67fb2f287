"""`agentmem replay MEMORY [EPISODE]`: a stored episode played, printed, compared, or run again. Knows options."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentmem.cli import show
from agentmem.cli.app import open_memory, reading
from agentmem.cli.options import (
    BudgetOption,
    JsonOption,
    MemoryPath,
    NamespaceOption,
    ReadOption,
    example,
    flag,
    written,
)
from agentmem.cli.playing import look_here
from agentmem.errors import NotFoundError

if TYPE_CHECKING:
    from agentmem.memory import Memory
    from agentmem.replay import Comparison, Frames

LISTED = 50


def register(app: typer.Typer) -> None:
    app.command(
        epilog=example(
            "agentmem replay agent.mem",
            "agentmem replay agent.mem monday",
            'agentmem replay agent.mem monday --step s00000000012 --cue "which bridge?" --budget 256',
            r"agentmem replay run.mem -n 'agentmem\/ShiftShop-Short-v0/0' --together --rerun",
        )
    )(replay)


def replay(
    path: MemoryPath,
    episode: Annotated[
        str | None, typer.Argument(metavar="[EPISODE]", help="Its id; without one, all episodes are listed.")
    ] = None,
    together: Annotated[bool, flag("--together", "All episodes of the namespace as one, as they interleave.")] = False,
    step: Annotated[str | None, typer.Option(metavar="ID", help="Only the frame of this step.")] = None,
    cue: Annotated[str | None, typer.Option(metavar="CUE", help="What this would have recalled at each step.")] = None,
    budget: Annotated[int | None, BudgetOption] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="EPISODE", help="Print where another run of the namespace differs.")
    ] = None,
    rerun: Annotated[
        bool, flag("--rerun", "Play a rollout's environment again, and check what is observed; 1 if it differs.")
    ] = False,
    namespace: NamespaceOption = "",
    read: ReadOption = None,
    json: JsonOption = False,
) -> None:
    """Play a stored episode: each step, what memory gave before it and why, and the crystals that formed.

    In a terminal: arrows go on and back, space plays, Home and End jump, q quits. Elsewhere the frames are printed.
    """
    if episode is not None and together:
        raise typer.BadParameter("give an EPISODE or --together, not both")
    if sum((step is not None, compare is not None, rerun)) > 1:
        raise typer.BadParameter("give one of --step, --compare and --rerun")
    if episode is None and not together:
        if any(option not in (None, False) for option in (step, cue, budget, compare, rerun, read)):
            raise typer.BadParameter("name an EPISODE, or give --together")
        _list(path, namespace, json)
        return
    from agentmem.replay import compare as compared
    from agentmem.replay import replay as played

    with open_memory(path, namespace, read_only=True) as whole:
        memory = reading(whole, read, path)
        frames = played(memory, episode, cue=cue, budget=budget)
        if compare is not None:
            _compare(compared(frames, played(memory, compare, cue=cue, budget=budget)), json)
        elif rerun:
            _rerun(memory, frames, json)
        elif json:
            _as_json(frames, step)
        else:
            _play(frames, step)


# ---- listing -----------------------------------------------------------------------------------------------------


def _list(path: str, namespace: str, json: bool) -> None:
    """Every episode of a file, or of one namespace of it."""
    from agentmem.replay import replay as played

    with open_memory(path, namespace, read_only=True, every=True) as memory:
        spaces = [memory.namespace] if namespace else memory._core.store.namespaces()
        found = []
        for space in spaces:
            scoped = memory.scoped(*space)
            found += [played(scoped, one.id).data() for one in scoped.episodes()[: None if json else LISTED + 1]]
    if json:
        _print({"episodes": found})
        return
    made = show.table("namespace", "episode", "steps", "recalls", "goal", right=("steps", "recalls"))
    for one in found[:LISTED]:
        counts = show.number(one["frames"]), show.number(one["recalls"])
        goal = show.clip((one["goal"] or {"text": ""})["text"], 60)
        made.add_row(*(show.safe(text) for text in (written(tuple(one["namespace"])), one["episode"], *counts, goal)))
    show.out().print(made)
    if len(found) > LISTED:
        show.line("and more: --json lists all; --namespace those of one namespace")


# ---- one episode -------------------------------------------------------------------------------------------------


def _play(frames: Frames, step: str | None) -> None:
    from agentmem.cli import frame

    if step is not None:
        show.out().print(frame.whole(frames[frames.number_of(step)], len(frames)))
        return
    if sys.stdin.isatty() and sys.stdout.isatty() and len(frames):
        from agentmem.cli.player import Player

        Player(frames).run()
        return
    for one in frames:
        show.out().print(frame.whole(one, len(frames)))
    show.out().print(frame.tail(frames.tail))
    if not len(frames):
        show.line("the episode has no steps")


def _as_json(frames: Frames, step: str | None) -> None:
    if step is not None:
        sys.stdout.write(frames[frames.number_of(step)].to_json() + "\n")
        return
    _document({"replay": frames.data(), "tail": frames.tail.data()}, "frames", (one.to_json() for one in frames))


def _print(values: dict[str, Any]) -> None:
    """One JSON document, which cannot steer a terminal."""
    from agentmem.replay import VERSION
    from agentmem.replay.plain import to_json

    sys.stdout.write(to_json({"version": VERSION, **values}) + "\n")


def _document(head: dict[str, Any], name: str, parts: Iterable[str]) -> None:
    """One JSON document whose last value is a list that is written as it is made."""
    from agentmem.replay import VERSION
    from agentmem.replay.plain import to_json

    sys.stdout.write(f'{to_json({"version": VERSION, **head})[:-1]},"{name}":[')
    for number, part in enumerate(parts):
        sys.stdout.write(f"{',' if number else ''}\n{part}")
    sys.stdout.write("]}\n")


def _compare(comparison: Comparison, json: bool) -> None:
    from agentmem.cli import frame

    if json:
        head = {"left": comparison.left.data(), "right": comparison.right.data()}
        _document(head, "differences", (one.to_json() for one in comparison))
        return
    differ = 0
    for one in comparison:
        if not (one.same_step and one.same_context):
            differ += 1
            show.out().print(frame.difference(one))
    pairs = show.count(len(comparison), "pairs")
    show.say(f"{show.number(differ)} differ", f"of {pairs} of steps", "< left, > right")


def _check_rolled(memory: Memory) -> None:
    """NotFoundError, with the namespace to give instead, where no rollout logged."""
    from agentmem.rollout.again import note_of

    if note_of(memory) is not None:
        return
    others = (space for space in memory._core.store.namespaces() if note_of(memory.scoped(*space)) is not None)
    other = next(others, None)
    where = f"namespace {shlex.quote(written(memory.namespace))}" if memory.namespace else "the root namespace"
    then = "nothing in this memory is of one, and `agentmem rollout` makes one"
    if other is not None:
        then = f"give that of one, such as -n {shlex.quote(written(other))}"
    raise NotFoundError(f"{where} holds no episode of a rollout, with its seed, to play again; {then}")


def _rerun(memory: Memory, frames: Frames, json: bool) -> None:
    from agentmem.replay import rerun
    from agentmem.rollout import Again

    look_here(*memory.namespace)
    _check_rolled(memory)
    with Again(memory) as again, show.Waiting("playing") as waiting:
        checked = []
        for one in rerun(frames, again):
            checked.append(one)
            waiting(one.number, len(frames))
    wrong = [one for one in checked if not one.same]
    if json:
        named = [{"number": one.number, "step": frames.step(one.number).id, "why": one.why} for one in wrong]
        _print({"replay": frames.data(), "checked": len(checked), "differ": named})
    else:
        for one in wrong:
            show.say(f"step {show.number(one.number + 1)}", show.safe(one.why), style="red")
        show.say("same" if not wrong else f"{len(wrong)} differ", f"{show.count(len(checked), 'observations')} checked")
    if wrong:
        raise typer.Exit(1)
