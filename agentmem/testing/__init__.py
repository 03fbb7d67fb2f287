"""For tests: fakes, and the contracts that a store, an encoder or a policy of your own must pass.

Subclass `StoreContract`, `EncoderContract`, `PolicyContract` or, for a store of LangGraph's, `LangGraphStoreContract`
in a test file, say how to make yours, and pytest runs the rest. The contracts need pytest, and the chat model
LangChain's core; they are loaded when first named.
"""

from typing import TYPE_CHECKING

from agentmem.testing.clock import FakeClock
from agentmem.testing.encoder_fake import HashEncoder

if TYPE_CHECKING:
    from agentmem.testing.chat import ScriptedChatModel as ScriptedChatModel
    from agentmem.testing.encoder import EncoderContract as EncoderContract
    from agentmem.testing.langgraph_store import LangGraphStoreContract as LangGraphStoreContract
    from agentmem.testing.policy import PolicyContract as PolicyContract
    from agentmem.testing.store import StoreContract as StoreContract

_HOME = {
    "EncoderContract": "encoder",
    "LangGraphStoreContract": "langgraph_store",
    "PolicyContract": "policy",
    "ScriptedChatModel": "chat",
    "StoreContract": "store",
}
__all__ = ["FakeClock", "HashEncoder", *_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'agentmem.testing' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    value: object = getattr(import_module(f"agentmem.testing.{_HOME[name]}"), name)
    return value
