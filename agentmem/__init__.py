"""Compressive episodic memory for agents: log, crystallize, recall.

A table of contents. Names are loaded when first used, so `import agentmem` stays cheap.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentmem.encode import DEFAULT as DEFAULT
    from agentmem.errors import AgentMemError as AgentMemError
    from agentmem.errors import CondenseError as CondenseError
    from agentmem.errors import EncoderError as EncoderError
    from agentmem.errors import InvalidInputError as InvalidInputError
    from agentmem.errors import MissingExtraError as MissingExtraError
    from agentmem.errors import NotFoundError as NotFoundError
    from agentmem.errors import StoreError as StoreError
    from agentmem.memory import Memory as Memory
    from agentmem.types import Crystal as Crystal
    from agentmem.types import Encoder as Encoder
    from agentmem.types import Episode as Episode
    from agentmem.types import Hit as Hit
    from agentmem.types import Layer as Layer
    from agentmem.types import PlanningContext as PlanningContext
    from agentmem.types import Policy as Policy
    from agentmem.types import Rule as Rule
    from agentmem.types import Step as Step
    from agentmem.types import Store as Store

__version__ = "0.1.0"

_HOME = {
    "DEFAULT": "encode",
    "AgentMemError": "errors",
    "CondenseError": "errors",
    "EncoderError": "errors",
    "InvalidInputError": "errors",
    "MissingExtraError": "errors",
    "NotFoundError": "errors",
    "StoreError": "errors",
    "Memory": "memory",
    "Crystal": "types",
    "Encoder": "types",
    "Episode": "types",
    "Hit": "types",
    "Layer": "types",
    "PlanningContext": "types",
    "Policy": "types",
    "Rule": "types",
    "Step": "types",
    "Store": "types",
}
__all__ = [*sorted(_HOME), "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'agentmem' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    from importlib import import_module

    value: object = getattr(import_module(f"agentmem.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
