"""Commands that only read: recall, stats, verify."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from agentmem.bench.totals import add_stats
from agentmem.cli import show
from agentmem.cli.app import open_memory
from agentmem.cli.options import (
    AsOfOption,
    BudgetOption,
    JsonOption,
    MemoryPath,
    NamespaceOption,
    OneAgentOption,
    OneEpisodeOption,
    example,
    flag,
    layer_of,
    path_of,
    small_file,
    written,
)
from agentmem.types import Hit, Layer, LayerReport, PlanningContext, Stats

OF_FILE = {"bytes", "bytes_per_million_tokens"}  # told once, for they are of all namespaces


def register(app: typer.Typer) -> None:
    app.command(epilog=example('agentmem recall agent.mem "what did I promise?" --budget 512 --why'))(recall)
    app.command(epilog=example("agentmem stats agent.mem --json"))(stats)
    app.command(epilog=example("agentmem verify agent.mem"))(verify)


def recall(
    path: MemoryPath,
    cue: Annotated[str, typer.Argument(metavar="CUE", help="What to recall: a question, a situation.")],
    budget: Annotated[int, BudgetOption] = 1024,
    as_of: AsOfOption = None,
    episode: OneEpisodeOption = None,
    agent: OneAgentOption = None,
    layer: Annotated[
        list[Layer] | None,
        typer.Option(metavar="LAYER", parser=layer_of, help="Only crystals: unit, cluster or atom; repeatable."),
    ] = None,
    marks: Annotated[bool, flag("--marks", "Mark every line with its source.")] = False,
    why: Annotated[bool, flag("--why", "Also list every hit with its score and reasons.")] = False,
    namespace: NamespaceOption = "",
    json: JsonOption = False,
) -> None:
    """Print the planning context for a cue.

    The text goes to standard output, how much was found to standard error. Nothing found is no error.
    """
    began = time.perf_counter()
    with open_memory(path, namespace, read_only=True) as memory:
        context = memory.recall(
            cue, budget=budget, as_of=as_of, episode=episode, agent=agent, layers=layer or None, marks=marks
        )
    if json:
        show.as_json(context_json(context))
        return
    if context.text:
        show.text(context.text)
    elapsed = time.perf_counter() - began
    found = show.count(len(context.hits), "hits") if context.hits else _nothing(budget)
    show.line(f"{show.number(context.tokens)} of {show.count(budget, 'tokens')}, {found}, {elapsed:.2f} s")
    if why and context.hits:
        show.out().print(hits_list(context.hits))


def _nothing(budget: int) -> str:
    return "nothing matches" if budget else "a budget of 0 holds nothing"


def context_json(context: PlanningContext) -> dict[str, Any]:
    """All of a planning context but its vectors."""
    return context.model_dump(mode="json")


def hits_list(hits: tuple[Hit, ...]) -> Table:
    """Every hit: what it scored, where it comes from, why, and how it begins."""
    return show.entries((f"{hit.score:.2f}", _head(hit), show.signals(hit.reasons), hit.text) for hit in hits)


def _head(hit: Hit) -> Text:
    span = f", characters {hit.span[0]}-{hit.span[1]}" if hit.span else ""
    return Text.assemble(
        f"{hit.layer} ", (show.safe(hit.id), show.ACCENT), f"  {hit.section}{span}, {show.count(hit.tokens, 'tokens')}"
    )


def stats(path: MemoryPath, namespace: NamespaceOption = "", json: JsonOption = False) -> None:
    """Show what a memory holds: tokens per layer, and bytes.

    Without --namespace, all namespaces together; bytes are always of all the memory's files.
    """
    with open_memory(path, namespace, read_only=True, every=True) as memory:
        spaces = [memory.namespace] if namespace else memory._core.store.namespaces()
        each = {written(space): memory.scoped(*space).stats() for space in spaces}
        found = add_stats(list(each.values()) or [memory.stats()])
    if json:
        parts = {name: part.model_dump(mode="json", exclude=OF_FILE) for name, part in each.items()}
        show.as_json(found.model_dump(mode="json") | {"namespaces": parts})
        return
    remark = f"{show.count(found.steps, 'steps')} in {show.count(found.episodes, 'episodes')}"
    show.say(show.path(path), remark + (f" of {show.count(len(each), 'namespaces')}" if len(each) > 1 else ""))
    show.out().print(layers_table(found.steps, found.tokens, found.layers))
    if len(each) > 1:
        show.out().print(_namespaces_table(each))
    if found.masked:
        show.say("masked:", ", ".join(f"{kind.replace('_', ' ')} {number:,}" for kind, number in found.masked.items()))
    show.out().print(_bytes_table(found))


def layers_table(steps: int, tokens: int, layers: Mapping[Layer, LayerReport]) -> Table:
    """Tokens per layer, their ratio to the layer below, and to the log."""
    numbers = ("number", "tokens", "ratio", "to the log")
    made = show.table("layer", *numbers, right=numbers)
    made.add_row("step", show.number(steps), show.number(tokens), "", "")
    for layer, found in layers.items():
        to_log = tokens / found.tokens if found.tokens else 0.0
        counts = show.number(found.crystals), show.number(found.tokens)
        made.add_row(str(layer), *counts, show.ratio(found.ratio), show.ratio(to_log))
    return made


def _namespaces_table(each: Mapping[str, Stats]) -> Table:
    made = show.table("namespace", "steps", "episodes", "tokens", right=("steps", "episodes", "tokens"))
    for name, found in each.items():
        made.add_row(name or "(none)", show.number(found.steps), show.number(found.episodes), show.number(found.tokens))
    return made


def _bytes_table(found: Stats) -> Table:
    made = show.table("bytes", "size", "share", right=("size", "share"))
    total = found.bytes["total"]
    for part, n_bytes in sorted(found.parts().items(), key=lambda item: -item[1]):
        if n_bytes:
            made.add_row(part, show.size(n_bytes), f"{n_bytes / max(1, total):.0%}")
    made.add_section()
    made.add_row("total", show.size(total), "")
    if found.comparable():
        made.add_row("per million tokens", show.size(found.bytes_per_million_tokens), "")
    return made


def verify(
    path: MemoryPath,
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=path_of, help="Also check this certificate of an erasure against the log."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check every stored byte.

    The exit code is 0 when all is well, and 1 when something is wrong.
    """
    with open_memory(path, read_only=True, every=True) as memory:
        said = memory.confirm(small_file(certificate)) if certificate is not None else None
        found = memory.verify()
        if said is not None:
            found = type(found)(
                ok=found.ok and said.ok, problems=found.problems + said.problems, checked=found.checked | said.checked
            )
    if json:
        show.as_json(found.model_dump(mode="json"))
    elif found.ok:
        checked = ", ".join(show.count(n, what) for what, n in found.checked.items())
        show.say("ok", checked, style="bold green")
    else:
        for problem in found.problems:
            show.say("problem:", problem, style="bold red")
    if not found.ok:
        raise typer.Exit(1)
