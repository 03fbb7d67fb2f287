"""LangChain and LangGraph with a memory: middleware, tools, a store, a retriever, a chat history, a recorder.

The one place that imports them. Names are loaded when first used: what needs more than langchain-core says how to
install it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from agentmem.errors import MissingExtraError

if TYPE_CHECKING:
    from agentmem.langchain.condenser import ChatModelCondenser as ChatModelCondenser
    from agentmem.langchain.history import EpisodicChatHistory as EpisodicChatHistory
    from agentmem.langchain.middleware import EpisodicMemory as EpisodicMemory
    from agentmem.langchain.offload import OffloadToolResults as OffloadToolResults
    from agentmem.langchain.policy import ChatModelPolicy as ChatModelPolicy
    from agentmem.langchain.policy import chat_model as chat_model
    from agentmem.langchain.recorder import EpisodicRecorder as EpisodicRecorder
    from agentmem.langchain.retriever import EpisodicRetriever as EpisodicRetriever
    from agentmem.langchain.store import EpisodicStore as EpisodicStore
    from agentmem.langchain.summary import summarizer as summarizer
    from agentmem.langchain.tools import expand_tool as expand_tool
    from agentmem.langchain.tools import explain_recall_tool as explain_recall_tool
    from agentmem.langchain.tools import memory_tools as memory_tools
    from agentmem.langchain.tools import recall_tool as recall_tool
    from agentmem.langchain.tools import remember_tool as remember_tool
    from agentmem.langchain.when import Call as Call

_HOME = {
    "Call": "when",
    "ChatModelCondenser": "condenser",
    "ChatModelPolicy": "policy",
    "EpisodicChatHistory": "history",
    "EpisodicMemory": "middleware",
    "EpisodicRecorder": "recorder",
    "EpisodicRetriever": "retriever",
    "EpisodicStore": "store",
    "OffloadToolResults": "offload",
    "chat_model": "policy",
    "expand_tool": "tools",
    "explain_recall_tool": "tools",
    "memory_tools": "tools",
    "recall_tool": "tools",
    "remember_tool": "tools",
    "summarizer": "summary",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'agentmem.langchain' has no attribute {name!r}; it has {', '.join(__all__)}")
    try:
        return getattr(import_module(f"agentmem.langchain.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("langchain", "langgraph"):
            raise
        raise MissingExtraError(f"{name} needs LangChain: pip install 'agentmem-crystal[langchain]'") from error
