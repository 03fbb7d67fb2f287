"""What a call does: its arguments checked against the tool, and the fields that it sets in a case's record."""

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from agentmem_envs.calls import Call, Refused
from agentmem_envs.workflow.definition import Argument, Tool, fill

_TYPES: Mapping[str, tuple[type, ...]] = {
    "case": (str,),
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def check(tools: Mapping[str, Tool], call: Call) -> None:
    """Raises Refused unless there is such a tool and the call has its arguments, each of its type and limits."""
    if call.tool not in tools:
        near = get_close_matches(call.tool, tools, 1)
        raise Refused(f"no tool {call.tool[:64]!r}; " + (f"did you mean {near[0]}?" if near else ", ".join(tools)))
    tool = tools[call.tool]
    if call.args.keys() != tool.args.keys():
        raise Refused(f"{call.tool} takes {', '.join(tool.args)}; given {', '.join(call.args) or 'nothing'}")
    for name, argument in tool.args.items():
        try:
            accept(argument, call.args[name])
        except Refused as refusal:
            raise Refused(f"{call.tool}: {name}: {refusal}") from None


def do(tools: Mapping[str, Tool], call: Call, records: Mapping[str, dict[str, Any]]) -> None:
    """Set what a checked call sets in the record of the open case that it names. Raises Refused, and then nothing is
    set.
    """
    tool = tools[call.tool]
    case = next(call.args[name] for name, argument in tool.args.items() if argument.type == "case")
    if case not in records:
        many = f"{len(records)} {'is' if len(records) == 1 else 'are'} open"
        raise Refused(f"no open case {case[:64]!r}; of those shown so far {many}")
    _require(call.tool, tool, case, records[case])
    records[case].update({field: fill(value, call.args) for field, value in tool.sets.items()})


def accept(argument: Argument, value: object) -> None:
    """Raises Refused unless the value is of the argument's type and within its limits."""
    if not isinstance(value, _TYPES[argument.type]) or (isinstance(value, bool) and argument.type != "boolean"):
        raise Refused(f"give a value of type {argument.type}")
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("give a finite number")
    if argument.one_of and value not in argument.one_of:
        raise Refused(f"give one of {', '.join(str(each) for each in argument.one_of)}")
    if isinstance(value, int | float) and not isinstance(value, bool) and not _within(argument, value):
        raise Refused(f"give a value {_limits(argument)}")


def _within(argument: Argument, value: float) -> bool:
    least = -math.inf if argument.least is None else argument.least
    return least <= value <= (math.inf if argument.most is None else argument.most)


def _limits(argument: Argument) -> str:
    if argument.least is None:
        return f"of {argument.most} at most"
    return f"of {argument.least} or more" if argument.most is None else f"from {argument.least} to {argument.most}"


def _require(name: str, tool: Tool, case: str, record: Mapping[str, Any]) -> None:
    for field, wanted in tool.requires.items():
        if record.get(field) not in wanted:
            said = " or ".join(str(each) for each in wanted)
            raise Refused(f"{name} needs {field} {said}; of {case} it is {record.get(field)}")
