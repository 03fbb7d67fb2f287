"""The six tools: what each is called, says of itself, and does with checked arguments.

Knows a scope, its conversations and what MCP calls a tool. Sync: who serves runs it in a thread.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations
from pydantic import BaseModel

from agentmem.errors import AgentMemError
from agentmem.mcp import arguments as given
from agentmem.mcp.pages import BRIEF, clipped, episode_page, explained_page, planned, whole_page
from agentmem.mcp.scope import Scope
from agentmem.mcp.sessions import Session, Sessions
from agentmem.types import Layer

FIRST = 10  # steps that forget shows
logger = logging.getLogger("agentmem.mcp")


@dataclass(frozen=True)
class Asked:
    """Who asks: a conversation, among all of a server."""

    scope: Scope
    sessions: Sessions
    session: Session
    logged: Callable[[], None]


def log_event(asked: Asked, event: given.LogEvent) -> given.Logged:
    """Log what happened: what was said, done or seen, as it happens. Not what was recalled."""
    actor = event.actor or (None if event.kind == "observation" else "assistant")
    step, new = asked.session.log(event.text, event.kind, actor, event.subjects, event.key)
    if new:
        asked.logged()
    return given.Logged(id=step.id, episode=step.episode, new=new)


def recall(asked: Asked, cue: given.Recall) -> str:
    """Recall what memory holds about a goal or a question. Call it before you plan, act or say you do not know."""
    return planned(asked.sessions, asked.session, cue.goal, cue.budget_tokens)


def explain_recall(asked: Asked, of: given.ExplainRecall) -> str:
    """Say why each memory of a recall was chosen: its score and what that is made of."""
    return explained_page(asked.sessions.hits(of.recall_id), asked.session, of.offset, of.limit)


def get_episode(asked: Asked, of: given.GetEpisode) -> str:
    """Show the steps of an episode in order, or one step or crystal whole."""
    known = {each.id: each for each in asked.scope.episodes()}
    if of.id in known:
        return episode_page(asked.scope, asked.session, known[of.id], of.offset, of.limit)
    return whole_page(asked.session, of.id, asked.scope.behind(of.id), of.offset)


def forget(asked: Asked, of: given.Forget) -> given.Forgotten:
    """Take steps out of recall, or with undo bring them back. Ask the user before dry_run=false."""
    steps = asked.scope.derived(of.selector)
    first = [given.Shown(id=step.id, text=clipped(step.text, BRIEF)) for step in steps[:FIRST]]
    asked.session.show((step.position, shown.text) for step, shown in zip(steps, first, strict=False))
    if not of.dry_run:
        asked.scope.memory.forget(steps=[step.id for step in steps], undo=of.undo)
    return given.Forgotten(dry_run=of.dry_run, undo=of.undo, steps=len(steps), first=first)


def memory_status(asked: Asked, of: given.MemoryStatus) -> given.Status:
    """Say how much memory holds, and list its episodes."""
    scope = asked.scope
    episodes, rows = scope.episodes(), scope.rows()
    crystals = [crystal.layer for crystal in scope.crystals()]
    newest = list(reversed(episodes))[of.offset : of.offset + of.limit]
    return given.Status(
        namespace=list(scope.memory.namespace),
        agent=scope.agent,
        episode=asked.session.episode,
        episodes=len(episodes),
        steps=len(rows.position),
        tokens=int(np.sum(rows.tokens)),
        crystals={layer.value: crystals.count(layer) for layer in Layer},
        newest=[
            given.EpisodeLine(
                id=each.id, steps=len(scope.rows(each.id).position), goal=each.goal and clipped(each.goal, BRIEF)
            )
            for each in newest
        ],
    )


Does = Callable[[Asked, Any], str | BaseModel]


@dataclass(frozen=True)
class Offered:
    """A tool. takes: its arguments. gives: what it answers, None for a text. hints: of its effects."""

    does: Does
    takes: type[given.Arguments]
    gives: type[BaseModel] | None
    hints: ToolAnnotations


READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
HIDES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
TOOLS: dict[str, Offered] = {
    kind.takes.tool: kind
    for kind in (
        Offered(recall, given.Recall, None, READS),
        Offered(log_event, given.LogEvent, given.Logged, ADDS),
        Offered(explain_recall, given.ExplainRecall, None, READS),
        Offered(get_episode, given.GetEpisode, None, READS),
        Offered(forget, given.Forget, given.Forgotten, HIDES),
        Offered(memory_status, given.MemoryStatus, given.Status, READS),
    )
}


def listed() -> list[Tool]:
    """The tools as MCP lists them."""
    return [
        Tool(
            name=name,
            description=kind.does.__doc__,
            input_schema=given.schema_of(kind.takes),
            output_schema=given.schema_of(kind.gives, "serialization") if kind.gives else None,
            annotations=kind.hints,
        )
        for name, kind in TOOLS.items()
    ]


def called(asked: Asked, name: str, arguments: Mapping[str, Any] | None) -> CallToolResult:
    """What a tool answers; a mistake is told to the model, and a bug to whoever reads the log."""
    kind = TOOLS[name]
    try:
        answer = kind.does(asked, given.checked(kind.takes, arguments))
    except AgentMemError as error:
        return _failed(str(error))
    except Exception:
        logger.exception("%s failed", name)
        return _failed(f"{name} failed inside of agentmem; the server's standard error says why")
    if isinstance(answer, str):
        return CallToolResult(content=[TextContent(type="text", text=answer)])
    made = answer.model_dump(mode="json", exclude_none=True)
    text = json.dumps(made, ensure_ascii=False)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=made)


def _failed(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
