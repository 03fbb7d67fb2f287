"""tau2's own retail tickets whose text is complete, and what their look-ups show.

Frozen after reading all 114. One is taken when it ends in a change, its text and the database settle every argument of
every call, and the customer never has to be asked: left out are those that answer to what the agent says or asks, that
keep something to themselves which stands in no row, that change their mind, that ask for a person, and those whose own
right calls fail. Conditions on the database or on the policy stay. A customer with a training task is for training:
his test tasks are left out.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from numpy.random import Generator

from agentmem_envs.shift.calls import Call
from agentmem_envs.shift.domain import Side, some
from agentmem_envs.shift.tau2 import data
from agentmem_envs.shift.tickets import Decision, Ticket

FROZEN = {
    "train": "0 1 16 23 28 29 34 43 44 48 52 73 75 76 78 80 81 85 87 89 96 106 107 109 110 112".split(),
    "test": "40 74 79 90 108".split(),
}
SKIPPED = ("calculate", "transfer_to_human_agents")
SHOWN, DRAWN = 3500, 10
"""Most characters of a tool's answer that the agent reads, and most tickets of a shift."""


@cache
def tasks(split: str) -> list[dict[str, Any]]:
    """The frozen tasks of a split, in tau2's order."""
    return [task for task in data("retail", "tasks.json") if task["id"] in FROZEN[split]]


def calls(task: dict[str, Any]) -> list[Call]:
    """The right calls of a task."""
    actions = task["evaluation_criteria"]["actions"]
    return [Call(each["name"], each["arguments"]) for each in actions if each["name"] not in SKIPPED]


def text(task: dict[str, Any]) -> str:
    told = task["user_scenario"]["instructions"]
    return f"{told['known_info']} {told['reason_for_call']}"


def owner(task: dict[str, Any], base: Any) -> str:
    """Whose rows its right calls change."""
    changed = [each.args for each in calls(task) if not each.tool.startswith(("find", "get", "list"))]
    orders = [args["order_id"] for args in changed if "order_id" in args]
    return str(base.orders[orders[0]].user_id if orders else changed[0]["user_id"])


def shown(result: str) -> str:
    return result[:SHOWN]


def drawn(split: str, base: Any, rng: Generator) -> list[dict[str, Any]]:
    """The tasks of one shift: of each customer one, as they are often alternatives, and at most DRAWN."""
    by_owner = {owner(task, base): task for task in some(rng, tasks(split), len(tasks(split)))}
    return list(by_owner.values())[:DRAWN]


def ticket(task: dict[str, Any], name: str, owner: str, shift: Sequence[dict[str, Any]]) -> Ticket:
    """The task, word for word; beside each right call stand calls of the same tool from other tasks of the shift."""
    known = [each for task in shift for each in calls(task)]
    rights = calls(task)
    says = [text(task), *("Go on." for _ in rights[1:])]
    decisions = [Decision(say, right, _others(right, known), shown) for say, right in zip(says, rights, strict=True)]
    return Ticket("tau2", name, decisions, owner=owner, source="tau2")


def _others(right: Call, known: Sequence[Call]) -> Callable[[Generator], Sequence[Call]]:
    same = [each for each in known if each.tool == right.tool]
    return lambda rng: some(rng, same, len(same))


def answer(task: dict[str, Any], side: Callable[[], Side]) -> str:
    """All that a task's text and the answers to its right calls show, on a fresh database."""
    fresh = side()
    return "\n".join([text(task), *(shown(fresh.do(each)) for each in calls(task))])
