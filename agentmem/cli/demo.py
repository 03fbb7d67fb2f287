"""`agentmem demo`: a working shift with memory, with a window, and with none; or conversations, recalled."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agentmem.cli import conversations, show
from agentmem.cli.options import BudgetOption, JsonOption, example, flag, other_memory, path_of, written
from agentmem.cli.playing import POLICY, failures, options_of, policy_of
from agentmem.cli.stopping import stoppable
from agentmem.errors import InvalidInputError, MissingExtraError
from agentmem.store import check_target

if TYPE_CHECKING:
    from agentmem.bench.demo import Moment, ShiftReport
    from agentmem.viewer import Exported

ENV, OWN = "agentmem/ShiftRetail-v0", "agentmem/ShiftShop-v0"
KEPT = Path("demo.mem")
LEAST = 101
"""Steps of a shift: more than its delay."""
TITLE = b"<title>agentmem</title>"
INTRODUCTION = (
    "A shift is a working day at a help desk. Customers come and go with tickets, and six in ten turn on something "
    "that was said once, a hundred steps or more before. The same policy plays the same shift three times; what it is "
    "shown before each step differs: what agentmem recalls, a window of the newest tokens, or nothing."
)
NOTES = (
    "One of the eight calls that are offered at a step is right: guessing solves 12.5% of the tickets that need "
    "memory. All three keep the log; crystals are made of it at the end, and come on top with their index, so there "
    "are more bytes."
)
ROWS = {
    "tickets solved, of {tickets}": "solved", "those that need memory, of {hidden}": "solved_hidden",
    "needed facts in the context": "needed_fact_recall", "context tokens a decision": "context_tokens_mean",
    "bytes kept": "bytes",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    app.command(epilog=example("agentmem demo", "agentmem demo --conversations"))(demo)


def demo(
    budget: Annotated[int, BudgetOption] = 512,
    env: Annotated[
        str | None, typer.Option(metavar="ID", help=f"The shift; {ENV}, or {OWN} where tau2's material is not.")
    ] = None,
    policy: Annotated[str, typer.Option(metavar="NAME", help="As in agentmem rollout.")] = POLICY,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=LEAST, help=f"Of the shift, {LEAST} or more, as its delay is {LEAST - 1}; its own 1,000."
        ),
    ] = None,
    told: Annotated[bool, flag("--conversations", "Recall from five people's conversations instead.")] = False,
    question: Annotated[
        str | None, typer.Option(metavar="ID", help="Of the conversations: the one to show whole.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            parser=path_of,
            help=f"The memory's file; {KEPT}, of the conversations none.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Play one working shift with a memory, with a window of as many tokens, and with none."""
    if told:
        _check_told(env, policy, steps)
        conversations.demo(budget, question, keep, json)
        return
    if question is not None:
        raise InvalidInputError(f"--question {question!r} is of the conversations: add --conversations")
    kept = keep or KEPT
    page = _page_beside(kept)
    if env is not None:
        _check_shift(env)
    report, there = _run(kept, page, env or _env(), policy, budget, steps, json)
    if json:
        show.as_json(report.model_dump(mode="json") | {"memory": str(kept), "page": str(page)})
        return
    _tell(report)
    show.say("page", show.path(page), "this run, step by step; open it in a browser")
    if there.opens is not None:
        show.line(f"at that step: {_address(page, there.opens)}")
    program, place = show.program(), shlex.quote(str(kept))
    show.line(f"the memory is in {show.path(kept)}; open it: {program} view {place}")
    if report.moment is not None:
        space = shlex.quote(written((report.rollouts[0].environment, "0")))
        show.line(f"or ask it: {program} recall {place} -n {space} -b {budget} {shlex.quote(report.moment.asked)}")


def _check_told(env: str | None, policy: str, steps: int | None) -> None:
    """InvalidInputError for what conversations do not take."""
    given = {"--env": env, "--policy": None if policy == POLICY else policy, "--steps": steps}
    for option, value in given.items():
        if value is not None:
            raise InvalidInputError(f"{option} {value} is of the shift: leave it or --conversations out")


def _check_shift(env: str) -> None:
    from agentmem.rollout.reading import is_shift

    if not is_shift(env):
        raise InvalidInputError(
            f"--env {env}: the demo plays shifts, such as {ENV}, agentmem/ShiftAirline-v0 or {OWN}; "
            "`agentmem rollout` plays any environment"
        )


def _env() -> str:
    """The shift over real material, if that is here."""
    from agentmem.rollout.making import maker

    try:
        maker(ENV)
    except MissingExtraError as error:
        show.line(f"{OWN} instead of {ENV}: {error}")
        return OWN
    return ENV


def _page_beside(kept: Path) -> Path:
    """Where the page of the run goes; InvalidInputError where something else stands."""
    page = kept.with_suffix(".html") if kept.suffix not in ("", ".html") else kept.with_name(f"run-{kept.name}.html")
    check_target(page, str(kept))
    if page.exists() and TITLE not in page.read_bytes()[:1_000]:
        raise InvalidInputError(f"{page} is in the way of this run's page; move it, or give --keep another.mem")
    return page


def _address(page: Path, step: str) -> str:
    return f"{page.absolute().as_uri()}#{urlencode({'step': step})}"


def _run(
    kept: Path, page: Path, env: str, policy: str, budget: int, steps: int | None, json: bool
) -> tuple[ShiftReport, Exported]:
    """What came of it, and what of it is in its page."""
    options = options_of(env, policy, "test", {} if steps is None else {"steps": steps})
    with failures(policy), show.loading(f"{policy} and {env}"):
        from agentmem.bench.demo import run, write_page

        acting = policy_of(policy, env, options)
    goes_on = f"the shift with crystals is kept in {show.path(kept)}: run the same command again to go on"
    with (
        stoppable(goes_on),
        failures(policy, goes_on),
        other_memory(kept, "--keep"),
        show.Waiting("playing") as waiting,
    ):
        report = run(kept, env, acting, budget, options, policy, _Telling(waiting, env, options, json))
        return report, write_page(kept, page, report, partial(waiting, label="writing the page"))


class _Telling:
    """Tells what the demo is, once it plays, and how far it is: by a bar on a terminal, elsewhere by a line a shift."""

    def __init__(self, waiting: show.Waiting, env: str, options: dict[str, Any], json: bool) -> None:
        from agentmem.rollout.making import maker

        self.waiting, self.env, self.json = waiting, env, json
        shift = maker(env, options)()
        self.steps = int(shift.get_wrapper_attr("steps"))
        shift.close()
        self.lines, self.begun = not show.err().is_terminal, False

    def __call__(self, done: float, total: float, kind: str) -> None:
        from agentmem.bench.demo import KINDS

        if not self.begun:
            self._begin(total)
        step = round((done - KINDS.index(kind)) * self.steps)
        self.waiting(done, total, f"with {kind}, step {step:,} of {self.steps:,}")
        if self.lines and step == self.steps:
            show.line(f"{done:.0f} of {total:.0f} played, with {kind}: {self.waiting.passed:.0f} s so far")

    def _begin(self, total: float) -> None:
        self.begun = True
        if not self.json:
            show.out().print(f"{INTRODUCTION}\n")
        if self.lines:
            show.line(f"playing {self.env} {total:.0f} times, {self.steps:,} steps each")


def _tell(report: ShiftReport) -> None:
    first = report.rollouts[0]
    show.say(first.environment, f"{first.policy}, {first.steps:,} steps, {first.budget:,} tokens of context at most")
    show.out().print(_table(report), Text(f"{NOTES}\n", style=show.QUIET))
    if report.moment is not None:
        _show_moment(report.moment)


def _table(report: ShiftReport) -> Table:
    kinds, shift = [each.memory for each in report.rollouts], report.rollouts[0].episodes[0]
    made = show.table("", *kinds, right=kinds)
    for words, name in ROWS.items():
        told = words.format(tickets=shift.tickets[1], hidden=shift.hidden_tickets[1])
        made.add_row(told, *(_said(name, getattr(each, name)) for each in report.rollouts))
    return made


def _said(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name == "bytes":
        return show.size(int(value))
    return f"{value:,.0f}" if name == "context_tokens_mean" else f"{value:.1%}"


def _show_moment(moment: Moment) -> None:
    console = show.out()
    number = moment.step + 1  # people count steps from 1
    told = {number - moment.ago: moment.said, number: moment.asked}
    for name, said in (*((f"step {step:,}", text) for step, text in told.items()), ("done", moment.chosen)):
        console.print(Text.assemble((f"  {name:<9}", show.QUIET), said))
    words = [word for word in moment.chosen.split() if any(map(str.isdigit, word))]
    lines = moment.context.text.split("\n")
    heads = [number for number, line in enumerate(lines) if line.startswith("[")]
    held = [at for at, line in enumerate(lines) if at not in heads and any(word in line for word in words)]
    above = {max((head for head in heads if head < number), default=number) for number in held}
    text = Text("\n".join(lines[number] for number in sorted({*held, *above})))
    text.highlight_words(words, f"bold {show.GOOD}")
    given = f"{len(moment.context.hits)} lines that memory gave at step {number:,}"
    title = f"{len(held)} of {given}, {moment.context.tokens} tokens"
    console.print(Panel(text, title=title, title_align="left", border_style=show.QUIET))
