"""LangChain and LangGraph with a memory. The one place that imports them.

Names are loaded when first used: what needs more than langchain-core says how to install it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentmem.langchain.condenser import ChatModelCondenser as ChatModelCondenser
    from agentmem.langchain.history import EpisodicChatHistory as EpisodicChatHistory
    from agentmem.langchain.offload import OffloadToolResults as OffloadToolResults
    from agentmem.langchain.policy import ChatModelPolicy as ChatModelPolicy
    from agentmem.langchain.policy import chat_model as chat_model
    from agentmem.langchain.recorder import EpisodicRecorder as EpisodicRecorder
    from agentmem.langchain.retriever import EpisodicRetriever as EpisodicRetriever
    from agentmem.langchain.store import EpisodicStore as EpisodicStore

_HOME = {
    "ChatModelCondenser": "condenser",
    "ChatModelPolicy": "policy",
    "EpisodicChatHistory": "history",
    "EpisodicRecorder": "recorder",
    "EpisodicRetriever": "retriever",
    "EpisodicStore": "store",
    "OffloadToolResults": "offload",
    "chat_model": "policy",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'agentmem.langchain' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    value: object = getattr(import_module(f"agentmem.langchain.{_HOME[name]}"), name)
    globals()[name] = value
    return value
