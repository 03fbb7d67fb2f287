"""`agentmem demo --conversations`: logging, crystallizing and recalling public data, told in four parts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agentmem.cli import show
from agentmem.cli.read import context_json, hits_list, layers_table
from agentmem.errors import SettingsError
from agentmem.types import Stats

if TYPE_CHECKING:
    from agentmem.bench.conversations import DemoReport, Sample


def demo(budget: int, question: str | None, keep: Path | None, json: bool) -> None:
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
    from agentmem.bench.conversations import SHOWN, run

    with show.Waiting("recalling") as waiting:
        return run(path, budget=budget, shown=question or SHOWN, progress=waiting)


def _tell(report: DemoReport) -> None:
    console = show.out()
    console.print()
    _part(1, "Log", f"{report.stats.steps} steps of {report.stats.episodes} conversations", report.seconds["log"])
    _part(2, "Crystallize", "each layer condenses the one above it", report.seconds["crystallize"])
    console.print(_layers(report.stats))
    said = f"{report.questions} questions, at most {report.budget} tokens each: is the evidence there?"
    _part(3, "Recall", said, report.seconds["recall"])
    console.print(_bars(report), _people(report))
    _part(4, "One question", report.sample.id)
    _show_sample(report.sample)


def _part(number: int, name: str, said: str, seconds: float | None = None) -> None:
    took = f"  {seconds:.2f} s" if seconds is not None else ""
    show.out().print(Text.assemble((f"{number} ", show.ACCENT), (name, "bold"), f"  {said}", (took, show.QUIET)))


def _layers(stats: Stats) -> Table:
    made = layers_table(stats.steps, stats.tokens, stats.layers)
    made.caption = Text(f"  {show.size(stats.bytes['total'])} in all files, indexes included", style=show.QUIET)
    made.caption_justify = "left"
    return made


def _bars(report: DemoReport) -> Table:
    made = Table.grid(padding=(0, 2))
    for system, share in report.evidence.items():
        style = "bold" if system == "agentmem" else ""
        made.add_row("", Text(system, style=style), show.bar(share), Text(f"{share:.1%}", style=style))
    return made


def _people(report: DemoReport) -> Table:
    made = show.table("", *report.evidence, right=report.evidence)
    for person in next(iter(report.by_person.values())):
        made.add_row(person, *(f"{shares[person]:.0%}" for shares in report.by_person.values()))
    return made


def _show_sample(sample: Sample) -> None:
    console = show.out()
    answer = " or ".join(sample.answers)
    console.print(Text.assemble(("\n  asked    ", show.QUIET), sample.question))
    console.print(Text.assemble(("  answer   ", show.QUIET), (answer, show.GOOD if sample.recalled else show.BAD)))
    title = f"planning context, {sample.context.tokens} of {sample.context.budget} tokens"
    console.print(Panel(_marked(sample), title=title, title_align="left", border_style=show.QUIET))
    console.print(Text("  where each line came from\n", style="bold"), hits_list(sample.context.hits))


def _marked(sample: Sample) -> Text:
    """The context's text with the labelled answer lit up."""
    text = Text(sample.context.text)
    text.highlight_words(sample.answers, f"bold {show.GOOD}", case_sensitive=False)
    return text
