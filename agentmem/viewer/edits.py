"""What a page changes: pins, what is forgotten, corrections, erasures. The log stays append-only but for erasures.

A correction is a step of its own, beside which the one it corrects is forgotten: what was recalled before stays as it
was, and the correction can be taken back. Knows a memory.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from agentmem.errors import InvalidInputError, KeyConflictError
from agentmem.index import step_id
from agentmem.memory import EpisodeWriter, Memory, erasing, removal
from agentmem.replay import plain
from agentmem.types import EraseReport, Repeat, Step
from agentmem.viewer import asked
from agentmem.viewer.look import Look

NAMED = "correction of "
ALSO = 10  # steps that are named as saying what was erased


def pin(look: Look, given: asked.Id) -> dict[str, Any]:
    """Raise a step, or the steps of a crystal, in every recall."""
    look.scoped(given.namespace).pin(given.id)
    return {"pinned": given.id}


def forget(look: Look, given: asked.Forget) -> dict[str, Any]:
    """Take a step, or the steps of a crystal, out of recall; undo brings them back."""
    scoped = look.scoped(given.namespace)
    ids = [step.id for step in scoped.expand(given.id)]
    return {"steps": scoped.forget(steps=ids, undo=given.undo)}


def correct(look: Look, given: asked.Correct) -> dict[str, Any]:
    """Log what a step should say, and forget what it says."""
    scoped = look.scoped(given.namespace)
    step = scoped.step(given.id)
    if not given.text.strip() or given.text == step.text:
        raise InvalidInputError(f"a correction of step {step.id} must say something else; to take it out, forget it")
    with _writer(scoped, step) as writer:
        made = writer.log(
            given.text, kind=step.kind, actor=step.actor, subjects=step.subjects, reply_to=step.id, trust="operator",
            data={"corrects": step.id},
        )  # fmt: skip
        before = [one.id for one in corrections(scoped, step.id) if one.id != made.id]
        scoped.forget(steps=[step.id, *before])
    return {"step": made.id, "episode": made.episode}


def _writer(scoped: Memory, step: Step) -> EpisodeWriter:
    """The episode of the corrections of a step; another one where that was erased."""
    for number in count(1):
        try:
            return scoped.episode(id=f"{NAMED}{step.id}" + (f" ({number})" if number > 1 else ""))
        except KeyConflictError:
            continue
    raise AssertionError("unreachable")


def corrections(scoped: Memory, id: str) -> list[Step]:
    """The steps that correct one, in log order."""
    name = f"{NAMED}{id}"
    mine = [one.id for one in scoped.episodes() if one.id == name or one.id.startswith(f"{name} (")]
    return [step for episode in mine for step in scoped.steps(episode)]


def erase(look: Look, given: asked.Erase) -> dict[str, Any]:
    """Erase for good, with all that was made of it; or say what would go."""
    scoped = look.scoped(given.namespace)
    steps = None if given.step is None else [given.step]
    if given.dry_run:
        report, preview = _preview(scoped, given.subject, given.episode, steps)
    else:
        report, preview = scoped.erase(subject=given.subject, episode=given.episode, steps=steps), {}
    counts = {name: getattr(report, name) for name in ("dry_run", "steps", "crystals", "episodes")}
    attachments = [[list(space), name] for space, name in report.attachments]
    names = {one.step: _named(one) for one in report.repeats if not look.only or one.namespace == scoped.namespace}
    if given.dry_run:
        preview["repeated_by"] = plain.several(
            list(({one: one for one in preview["repeated_by"]} | names).values()), str
        )
    also = [f"{name}, which says it too: erase that as well if it is meant" for name in list(names.values())[:ALSO]]
    told = [*also, *report.residue][:100] if report.residue else []
    others = plain.several(report.others, str)
    return {**counts, "attachments": plain.several(attachments, list), "others": others, "residue": told, **preview}


def _named(one: Repeat) -> str:
    place = f" in namespace {'/'.join(one.namespace)}" if one.namespace else ""
    return f"{one.step} of episode {one.episode}{place}"


def _preview(
    scoped: Memory, subject: str | None, episode: str | None, steps: list[str] | None
) -> tuple[EraseReport, dict[str, Any]]:
    """What goes, counted, and by name: the crystals made of the steps, recalls that showed them; and steps that were
    logged as repeating one of them, which stay.
    """
    core, namespace = scoped._accessed("crystals"), scoped.namespace
    request = scoped._erasure(subject, episode, steps)
    with core.crystallizing, core.lock:
        goes, index = erasing.going(core, namespace, request), core.index(namespace)
        report = erasing.preview(core, namespace, request, goes)
        made = [index.crystal(id) for id in sorted(goes.crystals, key=index.by_id.__getitem__)]
        repeats = removal.lineage(core, namespace, steps[0]) if steps is not None else []
    gone = {step.position for step in goes.steps}
    return report, {
        "derived": plain.several(made, plain.crystal),
        "recalls": len(goes.quoting),
        "repeated_by": [step_id(at) for at in repeats if at not in gone],
    }
