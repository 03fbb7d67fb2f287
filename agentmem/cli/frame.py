"""How a frame of a replay looks in a terminal. Knows frames; what was logged cannot steer the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agentmem.cli import show
from agentmem.index import step_id

if TYPE_CHECKING:
    from agentmem.replay import Difference, Event, Frame, Ranked, Recall, Retired, Tail
    from agentmem.types import Crystal, Step

LONG = 4_000
"""Characters of a text that are shown."""


def whole(frame: Frame, frames: int) -> Group:
    """Everything of a frame."""
    contexts = Group(*map(recall, frame.recalls))
    return Group(head(frame, frames), step(frame.step), contexts, happened(frame), Text())


def tail(last: Tail) -> Group:
    """What came after the last step."""
    parts = [*_crystals(last.formed, last.retired), *_events(last.events)]
    if not parts and not last.recalls:
        return Group()
    return Group(Text("after the last step", style=show.QUIET), *map(recall, last.recalls), *parts)


def head(frame: Frame, frames: int) -> Text:
    """Which frame it is."""
    one = frame.step
    place = f"step {show.number(frame.number + 1)} of {show.number(frames)}"
    return Text.assemble((place, "bold"), ("  " + one.id, show.ACCENT), f"  {show.safe(one.episode)}")


def step(one: Step) -> Panel:
    """What was done or observed."""
    title = f"{one.kind} {show.safe(one.actor)}" if one.actor else one.kind
    said = [f"reward {one.reward:g}"] if one.reward is not None else []
    said += [name for name in ("terminated", "truncated") if getattr(one, name)]
    said += ["part of the text was let go of"] if one.lost else []
    said += [f"at {one.at.isoformat(' ', 'minutes')}"] if one.at else []
    subtitle = ", ".join([show.count(one.tokens, "tokens"), *said])
    return _panel(_cut(one.text), title, subtitle)


def recall(one: Recall) -> Group:
    """A planning context: the text, what it is made of, and what just missed it."""
    told = f"{show.number(one.context.tokens)} of {show.count(one.budget, 'tokens')}, as of {step_id(one.as_of)}"
    title = f"planning context  {told}" if one.position is not None else f"would be recalled  {told}"
    parts: list[RenderableType] = [Text.assemble(("cue  ", show.QUIET), show.safe(show.clip(one.cue, 400)))]
    if one.same is False:
        parts.append(Text(f"not the same as what was shown: {show.safe(one.why)}", style=show.BAD))
        parts += [Text.assemble((f"  {show.safe(id)}  ", show.ACCENT), _or_gone(text)) for id, text in one.recorded]
    text = _cut(one.context.text) if one.context.text else Text("nothing", style=show.QUIET)
    parts.append(_panel(text, title, "" if one.same is None else "as it was shown" if one.same else "recalled now"))
    if one.ranked:
        parts.append(hits(one.ranked, one.missed))
    return Group(*parts)


def _or_gone(text: str | None) -> str:
    return "(not in the log any more)" if text is None else show.safe(show.clip(text, 200))


def hits(ranked: Sequence[Ranked], missed: Sequence[Ranked]) -> Table:
    """Each hit with its rank, score, tokens and signals; then the next ones, which missed the budget."""
    return show.entries((str(one.rank or "-"), _hit(one, one in missed), *_said(one)) for one in (*ranked, *missed))


def _hit(one: Ranked, missed: bool) -> Text:
    hit = one.hit
    what = ("just missed", show.BAD) if missed else (hit.section, "")
    numbers = f"{hit.score:.2f}, {show.count(hit.tokens, 'tokens')}"
    return Text.assemble(f"{hit.layer} ", (hit.id, show.ACCENT), "  ", what, f"  {numbers}")


def _said(one: Ranked) -> tuple[list[str], str]:
    return show.signals(one.hit.reasons), show.safe(show.clip(one.hit.text, LONG))


def happened(frame: Frame) -> Group:
    """Crystals that formed or ceased to hold, and what was forgotten, pinned or erased, since the frame before."""
    parts = [*_crystals(frame.formed, frame.retired), *_events(frame.events)]
    if frame.erased:
        parts.append(Text(f"erased  {show.count(frame.erased, 'records')} before this step", style=show.BAD))
    if not frame.crystallized:
        parts.append(Text("not crystallized as far as this step yet", style=show.QUIET))
    return Group(*parts)


def _crystals(formed: Sequence[Crystal], retired: Sequence[Retired]) -> list[Text]:
    lines = [
        Text.assemble(
            ("◆ ", show.ACCENT),
            f"{one.layer} {one.id}  {show.number(one.source_tokens)} to {show.count(one.tokens, 'tokens')}  ",
            (show.safe(show.clip(one.text, 120)) if one.text else "it keeps no words", show.QUIET),
        )
        for one in formed
    ]
    for crystal, by in retired:
        said = f"superseded by {by}" if by else "superseded by a value without an atom of its own"
        lines.append(Text.assemble(("◇ ", show.BAD), f"{crystal.layer} {crystal.id}  {said}"))
    return lines


def _events(events: Sequence[Event]) -> list[Text]:
    said = {"forget": "forgotten", "restore": "recalled again", "pin": "pinned"}
    return [Text(f"{said[one.what]}  {show.clip(', '.join(one.steps), 100)}") for one in events]


def difference(one: Difference) -> Group:
    """In what two frames differ."""
    parts: list[RenderableType] = []
    for mark, frame in (("<", one.left), (">", one.right)):
        if frame is not None:
            said = f"{show.number(frame.number + 1)}  {frame.step.kind}  {show.safe(show.clip(frame.step.text, 200))}"
            parts.append(Text.assemble((f"{mark} ", show.ACCENT), said))
        if one.same_step:
            break
    if not one.same_context:
        left, right = map(show.number, one.tokens)
        parts.append(Text(f"  contexts of {left} and {right} tokens, {one.both} texts in both", style=show.QUIET))
        for mark, found in (("<", one.only_left), (">", one.only_right)):
            parts += [Text(f"  {mark} {hit.id}  {show.safe(show.clip(hit.text, 160))}") for hit in found]
    return Group(*parts)


def _cut(text: str) -> Text:
    more = f"\n[{len(text) - LONG:,} more characters]" if len(text) > LONG else ""
    return Text.assemble(show.safe(text[:LONG]), (more, show.QUIET))


def _panel(text: Text, title: str, subtitle: str) -> Panel:
    return Panel(
        text, title=Text(title), title_align="left", subtitle=Text(subtitle), subtitle_align="left",
        border_style=show.QUIET,
    )  # fmt: skip
