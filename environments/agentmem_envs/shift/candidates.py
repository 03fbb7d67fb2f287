"""Fills the calls that an agent may choose from, so that a small policy can act."""

from numpy.random import Generator

from agentmem_envs.calls import Call
from agentmem_envs.shift.facts import Told
from agentmem_envs.shift.tickets import Decision

CHOICES = 8


def choices(decision: Decision, told: Told, step: int, rng: Generator) -> list[Call]:
    """The right call among others of the same tool, in random order."""
    if decision.hidden is None:
        calls = [decision.call, *decision.others(rng)]
    else:
        hidden = decision.hidden
        values = [hidden.value, *hidden.beside]
        number = CHOICES - len(values)
        values += told.beside(hidden.form, hidden.value, values, hidden.spare, number, step, rng)
        told.list(hidden.form, values, step)
        calls = [hidden.make(value) for value in values]
    different = list({call.text: call for call in calls}.values())[:CHOICES]
    return [different[int(i)] for i in rng.permutation(len(different))]
