"""LangChain with a memory: a chat model as a policy of a rollout. The one place that imports LangChain."""

from agentmem.langchain.policy import ChatModelPolicy, chat_model

__all__ = ["ChatModelPolicy", "chat_model"]
