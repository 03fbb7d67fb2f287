"""What a client can read and offer its user without a tool: a timeline, crystals, and a prompt to plan with memory.

Knows a scope, a conversation and what MCP calls a resource. Sync: who serves runs it in a thread.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from mcp_types import (
    GetPromptResult,
    ListResourcesResult,
    Prompt,
    PromptArgument,
    PromptMessage,
    Resource,
    ResourceTemplate,
    TextContent,
)

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.mcp.arguments import BUDGET, GOAL_LIMIT, LIMIT
from agentmem.mcp.pages import crystal_page, planned, timeline_page
from agentmem.mcp.scope import Scope
from agentmem.mcp.sessions import Session, Sessions
from agentmem.records import brief, check_text
from agentmem.tokens import truncate
from agentmem.types import Crystal

TEXT = "text/plain"
LINES = 50  # steps of a timeline that is asked for without a limit
TITLE = 20  # tokens of a crystal's text that name it
TOTAL = "agentmem/total"
PLAN = "plan_with_memory"
_QUERY = re.compile(r"(offset|limit)=([0-9]{1,10})")
_ASK = """{}

Plan how to reach this goal: {}

Use what memory holds above where it fits, name the ids you rely on, and say what memory does not know."""


# ---- resources -------------------------------------------------------------------------------------------------------


def resources(scope: Scope, cursor: str | None) -> ListResourcesResult:
    """The timeline and the crystals that hold now, newest first, LIMIT at a time; how many there are is in `_meta`."""
    start = _start_of(cursor)
    crystals = scope.crystals()
    every = [_timeline(scope), *(_resource(scope, crystal) for crystal in crystals[max(0, start - 1) :][:LIMIT])]
    page = every[:LIMIT] if start == 0 else every[1:]
    end, total = start + len(page), len(crystals) + 1
    return ListResourcesResult(
        resources=page, next_cursor=str(end) if page and end < total else None, _meta={TOTAL: total}
    )


def templates(scope: Scope) -> list[ResourceTemplate]:
    """How the URIs of a timeline's pages and of crystals are made."""
    return [
        ResourceTemplate(
            name="timeline",
            uri_template=f"memory://{scope.name}/timeline{{?offset,limit}}",
            description=f"Steps, newest first, at most {LIMIT} at a time.",
            mime_type=TEXT,
        ),
        ResourceTemplate(
            name="crystal",
            uri_template=f"memory://{scope.name}/crystals/{{id}}",
            description="What many steps were condensed to.",
            mime_type=TEXT,
        ),
    ]


def read(scope: Scope, session: Session, uri: str) -> str:
    """The text of a resource; NotFoundError for one that is not there, or another agent's."""
    path, _, query = uri.partition("?")
    if path == f"memory://{scope.name}/timeline":
        return timeline_page(scope, session, **_paging(query))
    crystals = f"memory://{scope.name}/crystals/"
    found = [
        each for each in scope.crystals() if path.startswith(crystals) and each.id == unquote(path[len(crystals) :])
    ]
    if not found or query:
        known = ", ".join(f"memory://{scope.name}/{kind}" for kind in ("timeline", "crystals/ID"))
        raise NotFoundError(f"there is no resource {brief(uri)}; there are {known}")
    return crystal_page(found[0], session)


def _paging(query: str) -> dict[str, int]:
    asked = [_QUERY.fullmatch(part) for part in query.split("&")] if query else []
    paging = {"offset": 0, "limit": LINES} | {found[1]: int(found[2]) for found in asked if found is not None}
    if None in asked or not 1 <= paging["limit"] <= LIMIT:
        raise InvalidInputError(f"{brief(query)}: give offset=N and limit=N, limit from 1 to {LIMIT}")
    return paging


def _start_of(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not re.fullmatch(r"[1-9][0-9]{0,9}", cursor):
        raise InvalidInputError(f"cursor {brief(cursor)} is none of this server; leave it out to begin again")
    return int(cursor)


def _timeline(scope: Scope) -> Resource:
    return Resource(
        name="timeline",
        uri=f"memory://{scope.name}/timeline",
        description=f"The newest {LINES} steps.",
        mime_type=TEXT,
    )


def _resource(scope: Scope, crystal: Crystal) -> Resource:
    return Resource(
        name=crystal.id,
        uri=f"memory://{scope.name}/crystals/{quote(crystal.id, safe='')}",
        title=f"{crystal.layer}: {truncate(' '.join(crystal.text.split()), TITLE)}",
        mime_type=TEXT,
    )


# ---- the prompt ------------------------------------------------------------------------------------------------------

PROMPTS = [
    Prompt(
        name=PLAN,
        description="Plan how to reach a goal with what memory holds about it.",
        arguments=[PromptArgument(name="goal", description="What is to be reached.", required=True)],
    )
]


def prompt(sessions: Sessions, session: Session, name: str, arguments: dict[str, str] | None) -> GetPromptResult:
    """The prompt, with a planning context in it; InvalidInputError for another name, or without a goal."""
    if name != PLAN:
        raise InvalidInputError(f"there is no prompt {brief(name)}; there is {PLAN}")
    goal = (arguments or {}).get("goal", "")
    check_text(goal)
    if set(arguments or {}) != {"goal"} or not 1 <= len(goal) <= GOAL_LIMIT:
        raise InvalidInputError(f"{PLAN} takes one argument, goal, of 1 to {GOAL_LIMIT:,} characters")
    text = planned(sessions, session, goal, BUDGET)
    message = PromptMessage(role="user", content=TextContent(type="text", text=_ASK.format(text, goal)))
    return GetPromptResult(description=PROMPTS[0].description, messages=[message])
