"""tau2's own tickets, word for word: those of a frozen list whose text is complete without a simulated customer.

Frozen after reading all. One is taken when it ends in a change, its text and the database settle every argument of
every call, and the customer never has to be asked: left out are those that answer to what the agent says or asks, that
keep something to themselves which stands in no row, that change their mind, that ask for a person, and those whose own
right calls fail. Conditions on the database or on the policy stay. A customer with a training task is for training: his
test tasks are left out.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from numpy.random import Generator

from agentmem_envs.calls import Call
from agentmem_envs.shift.domain import Side, some
from agentmem_envs.shift.tau2 import data
from agentmem_envs.shift.tickets import Decision, Ticket

SKIPPED = ("calculate", "transfer_to_human_agents")
SHOWN, DRAWN = 3500, 10
"""Most characters of a tool's answer that the agent reads, and most tickets of a shift."""
Task = Mapping[str, Any]


@cache
def tasks(domain: str, ids: tuple[str, ...]) -> list[Task]:
    """The tasks of these ids, in tau2's order."""
    return [task for task in data(domain, "tasks.json") if task["id"] in ids]


def calls(task: Task) -> list[Call]:
    """The right calls of a task."""
    actions = task["evaluation_criteria"]["actions"]
    return [Call(each["name"], each["arguments"]) for each in actions if each["name"] not in SKIPPED]


def text(task: Task, fields: Sequence[str]) -> str:
    """What the customer tells, on one line."""
    told = task["user_scenario"]["instructions"]
    return " ".join(" ".join(told[field] for field in fields).split())


def owner(task: Task, named: Callable[[Call], str | None]) -> str:
    """Whose rows its right calls change; `named` finds a call's customer."""
    return next(found for each in calls(task) if (found := named(each)))


class Drawn:
    """The tasks of one shift: of each customer one, as they are often alternatives, and at most DRAWN.

    fields: those of a task that are told. named: whom a call is about. name: of a customer.
    """

    def __init__(
        self,
        known: Sequence[Task],
        fields: Sequence[str],
        named: Callable[[Call], str | None],
        name: Callable[[str], str],
        rng: Generator,
    ) -> None:
        self._fields, self._name = fields, name
        by_owner = {owner(task, named): task for task in some(rng, known, len(known))}
        self._left = list(by_owner.items())[:DRAWN]
        self.tasks = [task for _, task in self._left]

    def next(self) -> Ticket | None:
        """The ticket of one of them, each once; None where there is none left."""
        if not self._left:
            return None
        customer, task = self._left.pop()
        return ticket(task, self._fields, self._name(customer), customer, self.tasks)


def ticket(task: Task, fields: Sequence[str], name: str, owner: str, shift: Sequence[Task]) -> Ticket:
    """The task, word for word; beside each right call stand calls of the same tool from other tasks of the shift."""
    known = [each for task in shift for each in calls(task)]
    rights = calls(task)
    says = [text(task, fields), *("Go on." for _ in rights[1:])]
    decisions = [Decision(say, right, _others(right, known), _shown) for say, right in zip(says, rights, strict=True)]
    return Ticket("tau2", name, decisions, owner=owner, source="tau2")


def answer(task: Task, fields: Sequence[str], side: Callable[[], Side]) -> str:
    """All that a task's text and the answers to its right calls show, on a fresh database."""
    fresh = side()
    return "\n".join([text(task, fields), *(_shown(fresh.do(each)) for each in calls(task))])


def _shown(result: str) -> str:
    return result[:SHOWN]


def _others(right: Call, known: Sequence[Call]) -> Callable[[Generator], Sequence[Call]]:
    same = [each for each in known if each.tool == right.tool]
    return lambda rng: some(rng, same, len(same))
