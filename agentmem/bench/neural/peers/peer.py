"""What every peer of the neural memory can do, and how one that reads in segments does it for streams of any length.

Knows segments, states and their bytes. Knows nothing of any package, of tasks or of training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from agentmem.errors import MissingExtraError
from agentmem.neural.shapes import TOKENS, check

INSTALL = "pip install 'agentmem-crystal[peers]'"
APART = (
    "pip install --no-deps memorizing-transformers-pytorch block-recurrent-transformer-pytorch, "
    "then pip install 'agentmem-crystal[peers]'"
)
"""For packages that ask for faiss-gpu, and so for CUDA."""


class Peer(nn.Module, ABC):
    """A language model with a memory. A state is whatever it carries from one step to the next; treat it as opaque.

    takes_bfloat16: learns as well under torch.autocast. window: tokens of a segment, or of its attention.
    """

    takes_bfloat16 = True

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    @abstractmethod
    def start(self, streams: int) -> Any:
        """The state before the first token of so many streams."""

    @abstractmethod
    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The next tokens [B, T] of each stream, T >= 1: logits [B, T, vocabulary] of what follows each of them, and
        the state after them. Any split of a stream into steps gives the same. The state given may not be used again.
        """

    def ask(self, tokens: Tensor, state: Any) -> Tensor:
        """The logits of `step`; the state stays as it was and may be used again."""
        return self.step(tokens, state)[0]

    def remember(self, tokens: Tensor, state: Any) -> Any:
        """The state of `step`, where what is said of these tokens does not matter."""
        return self.step(tokens, state)[1]

    def detached(self, state: Any) -> Any:
        """The state without gradients to what came before."""
        return mapped(state, torch.Tensor.detach)

    def memory_bytes(self, state: Any) -> int:
        """Bytes that one stream's state holds."""
        return sum(each.nbytes // self._streams(state) for each in tensors(state) if each.dim())

    def extra_loss(self, state: Any) -> Tensor:
        """What the package wants minimised beside the next token, a scalar: of the step that gave this state."""
        return torch.zeros(())

    @abstractmethod
    def _streams(self, state: Any) -> int:
        """How many streams a state is of."""


@dataclass(frozen=True)
class State:
    """kept: what the package carries, at the end of the last complete segment. pending: the tokens [B, < segment] since
    then, which are read again when more come. extra: see `Peer.extra_loss`.
    """

    kept: Any
    pending: Tensor
    extra: Tensor


class Segmented(Peer):
    """Reads segment by segment. Gradients flow from a segment to those before it in the same step, as far as the
    package lets them.
    """

    def start(self, streams: int) -> State:
        return State(None, torch.zeros(streams, 0, dtype=torch.int64), torch.zeros(()))

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        check("tokens", tokens, len(state.pending), "T", types=TOKENS)
        waiting = torch.cat((state.pending, tokens), 1)
        whole = waiting.shape[1] // self.window * self.window
        kept, said, extra = state.kept, [], torch.zeros(())
        for segment in waiting[:, :whole].split(self.window, 1) if whole else ():
            logits, kept, more = self.read(segment, kept)
            said.append(logits)
            extra = extra + more * self.window / whole
        rest = waiting[:, whole:]
        if rest.shape[1]:
            said.append(self.peek(rest, kept))
        return torch.cat(said, 1)[:, state.pending.shape[1] :], State(kept, rest, extra)

    def extra_loss(self, state: State) -> Tensor:
        return state.extra

    @abstractmethod
    def read(self, segment: Tensor, kept: Any) -> tuple[Tensor, Any, Tensor]:
        """A whole segment [B, window] after what is kept (None: nothing): logits, what is kept after it, extra loss."""

    def peek(self, part: Tensor, kept: Any) -> Tensor:
        """The logits of a part of a segment; nothing is kept."""
        return self.read(part, kept)[0]

    def _streams(self, state: State) -> int:
        return len(state.pending)


def mapped(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same nest of tuples, lists and dataclasses with the function applied to each tensor."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(each, function) for each in value))
    if isinstance(value, (tuple, list)):
        return type(value)(mapped(each, function) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: mapped(getattr(value, each.name), function) for each in fields(value)})
    return value


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in it."""
    found: list[Tensor] = []
    mapped(value, lambda each: found.append(each) or each)  # type: ignore[func-returns-value]
    yield from found


def package(module: str, install: str, how: str = INSTALL) -> Any:
    """A peer's package. Raises MissingExtraError with the line that installs it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{install} cannot be imported ({error}): {how}") from error


def tie(embedding: nn.Embedding, head: nn.Linear) -> None:
    """One matrix for tokens going in and out, as in the neural memory: else most of a small model is embeddings."""
    head.weight = embedding.weight
    nn.init.normal_(embedding.weight, std=0.05)
