"""The neural memory: a transformer that keeps what it has read as 1-bit crystals, 1 MB per million tokens.

A table of contents. Knows tensors; knows nothing of episodes, texts or files of text memory. Needs torch.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from agentmem.errors import MissingExtraError

if TYPE_CHECKING:
    from agentmem.neural.crystal import MemoryCrystal as MemoryCrystal
    from agentmem.neural.settings import CrystalSettings as CrystalSettings
    from agentmem.neural.settings import TransformerSettings as TransformerSettings
    from agentmem.neural.tokens import TokenModel as TokenModel
    from agentmem.neural.train import Trainer as Trainer
    from agentmem.neural.transformer import InfiniteMemoryTransformer as InfiniteMemoryTransformer

INSTALL = "pip install 'agentmem-crystal[policy]'"
if missing := [name for name in ("torch", "safetensors", "tokenizers") if find_spec(name) is None]:
    raise MissingExtraError(f"the neural memory needs {', '.join(missing)}: {INSTALL}")

_HOME = {
    "MemoryCrystal": "crystal",
    "CrystalSettings": "settings",
    "TransformerSettings": "settings",
    "TokenModel": "tokens",
    "Trainer": "train",
    "InfiniteMemoryTransformer": "transformer",
}
__all__ = [*sorted(_HOME)]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'agentmem.neural' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    from importlib import import_module

    return getattr(import_module(f"agentmem.neural.{_HOME[name]}"), name)
