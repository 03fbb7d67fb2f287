"""`agentmem demo`: the main job on public data, told in four parts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from agentmem.cli import show
from agentmem.cli.app import JsonOption
from agentmem.cli.read import context_json
from agentmem.errors import SettingsError
from agentmem.types import Hit, Layer

if TYPE_CHECKING:
    from agentmem.bench.demo import DemoReport, Sample


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    budget: Annotated[int, typer.Option("--budget", "-b", min=1, help="Tokens recalled per question, at most.")] = 512,
    question: Annotated[str | None, typer.Option(metavar="ID", help="The question to show whole.")] = None,
    keep: Annotated[Path | None, typer.Option(metavar="PATH", help="Keep the memory here.")] = None,
    json: JsonOption = False,
) -> None:
    """Log five people's conversations, crystallize, and recall for 155 labelled questions."""
    if keep and keep.exists():
        raise SettingsError(f"{keep} is there already: name a path where nothing is yet")
    with tempfile.TemporaryDirectory() as folder:
        report = _run(keep or Path(folder) / "demo.mem", budget, question)
    if json:
        sample = report.sample.model_dump(mode="json", exclude={"context"})
        sample["context"] = context_json(report.sample.context)
        show.as_json(report.model_dump(mode="json", exclude={"sample"}) | {"sample": sample})
    else:
        _tell(report)
        if keep:
            asked = f'agentmem recall {keep} -n {report.sample.person} "{report.sample.question}"'
            show.line(f"Ask it yourself: {asked}")


def _run(path: Path, budget: int, question: str | None) -> DemoReport:
    from agentmem.bench.demo import SHOWN, run
    from agentmem.memory import Memory

    with Memory.open(str(path)) as memory, show.Waiting("recalling") as waiting:
        return run(memory, budget=budget, shown=question or SHOWN, progress=waiting)


def _tell(report: DemoReport) -> None:
    console = show.out()
    console.print()
    _part(1, "Log", f"{report.steps} steps of {report.episodes} conversations", report.seconds["log"])
    _part(2, "Crystallize", "each layer condenses the one above it", report.seconds["crystallize"])
    console.print(_layers(report))
    said = f"{report.questions} questions, at most {report.budget} tokens each: is the evidence there?"
    _part(3, "Recall", said, report.seconds["recall"])
    console.print(_scores(report))
    _part(4, "One question", report.sample.id)
    _show_sample(report.sample)


def _part(number: int, name: str, said: str, seconds: float | None = None) -> None:
    took = f"  {seconds:.2f} s" if seconds is not None else ""
    show.out().print(Text.assemble((f"{number} ", show.ACCENT), (name, "bold"), f"  {said}", (took, show.QUIET)))


def _layers(report: DemoReport) -> show.Table:
    made = show.table(
        "layer", "number", "tokens", "ratio", "to the log", right=("number", "tokens", "ratio", "to the log")
    )
    made.add_row("step", show.number(report.steps), show.number(report.tokens), "", "")
    for layer, found in report.layers.items():
        to_log = report.tokens / found.tokens if found.tokens else 0.0
        made.add_row(
            str(layer),
            show.number(found.crystals),
            show.number(found.tokens),
            show.ratio(found.ratio),
            show.ratio(to_log),
        )
    total = report.bytes["total"]
    per_million = show.size(total / max(1, report.tokens) * 1e6)
    made.caption = f"kept in {show.size(total)}, everything included ({per_million} per million tokens)"
    made.caption_justify = "left"
    return made


def _scores(report: DemoReport) -> show.Table:
    people = list(next(iter(report.by_person.values())))
    made = show.table("evidence recalled", "", "all", *people, right=("all", *people))
    for system, share in report.evidence.items():
        style = "bold" if system == "agentmem" else ""
        cells = [f"{report.by_person[system][person]:.0%}" for person in people]
        made.add_row(Text(system, style=style), show.bar(share), f"{share:.1%}", *cells)
    return made


def _show_sample(sample: Sample) -> None:
    console = show.out()
    answer = " or ".join(sample.answers)
    console.print(Text.assemble(("\n  asked    ", show.QUIET), sample.question))
    console.print(Text.assemble(("  answer   ", show.QUIET), (answer, show.GOOD if sample.recalled else show.BAD)))
    title = f"planning context, {sample.context.tokens} of {sample.context.budget} tokens"
    console.print(Panel(_marked(sample), title=title, title_align="left", border_style=show.QUIET))
    console.print(_sources(sample.context.hits))


def _marked(sample: Sample) -> Text:
    """The context's text with the labelled answer lit up."""
    text = Text(sample.context.text)
    text.highlight_words(sample.answers, f"bold {show.GOOD}", case_sensitive=False)
    return text


def _sources(hits: tuple[Hit, ...]) -> show.Table:
    made = show.table("where each line came from", "layer", "characters", "score", "why", right=("characters", "score"))
    for hit in hits:
        span = f"{hit.span[0]}-{hit.span[1]}" if hit.span else ""
        made.add_row(
            Text.assemble((hit.id, show.ACCENT), f"  {show.clip(hit.text, 44)}"),
            str(hit.layer),
            span,
            f"{hit.score:.2f}",
            Text(show.reasons(hit.reasons, 3), style=show.QUIET),
        )
    return made
