"""LangChain and LangGraph with a memory. The one place that imports them.

Names are loaded when first used: what needs more than langchain-core says how to install it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentmem.langchain.policy import ChatModelPolicy as ChatModelPolicy
    from agentmem.langchain.policy import chat_model as chat_model
    from agentmem.langchain.store import EpisodicStore as EpisodicStore

_HOME = {"ChatModelPolicy": "policy", "EpisodicStore": "store", "chat_model": "policy"}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'agentmem.langchain' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    value: object = getattr(import_module(f"agentmem.langchain.{_HOME[name]}"), name)
    globals()[name] = value
    return value
