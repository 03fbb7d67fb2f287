"""LangChain with a memory: a middleware for agents, memory as tools, a chat model as a policy of a rollout.

The one place that imports LangChain. What needs more of it than langchain-core is loaded when first named.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from agentmem.errors import MissingExtraError
from agentmem.langchain.policy import ChatModelPolicy, chat_model

if TYPE_CHECKING:
    from agentmem.langchain.middleware import EpisodicMemory as EpisodicMemory
    from agentmem.langchain.summary import summarizer as summarizer
    from agentmem.langchain.tools import expand_tool as expand_tool
    from agentmem.langchain.tools import explain_recall_tool as explain_recall_tool
    from agentmem.langchain.tools import memory_tools as memory_tools
    from agentmem.langchain.tools import recall_tool as recall_tool
    from agentmem.langchain.tools import remember_tool as remember_tool
    from agentmem.langchain.when import Call as Call

_HOME = {
    "Call": "when",
    "EpisodicMemory": "middleware",
    "expand_tool": "tools",
    "explain_recall_tool": "tools",
    "memory_tools": "tools",
    "recall_tool": "tools",
    "remember_tool": "tools",
    "summarizer": "summary",
}
__all__ = ["ChatModelPolicy", "chat_model", *_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'agentmem.langchain' has no attribute {name!r}; it has {', '.join(__all__)}")
    try:
        return getattr(import_module(f"agentmem.langchain.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("langchain", "langgraph"):
            raise
        raise MissingExtraError(f"{name} needs LangChain: pip install 'agentmem-crystal[langchain]'") from error
