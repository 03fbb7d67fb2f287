"""TokenModel: the transformer over tokens, with a head and a pointer that copies from crystals.

Knows token numbers and their probabilities. Knows nothing of tasks, losses or training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentmem.errors import InvalidInputError
from agentmem.neural.files import load, save
from agentmem.neural.quantise import Precision, quantise
from agentmem.neural.reader import Reading, gather
from agentmem.neural.settings import UNIT, CrystalSettings, TransformerSettings
from agentmem.neural.transformer import InfiniteMemoryTransformer, State
from agentmem.neural.values import View, Written

COPIED = 4  # slots a copy is made from


@dataclass(frozen=True)
class TokenSettings:
    """vocabulary: number of tokens. transformer: its sizes."""

    vocabulary: int
    transformer: TransformerSettings


@dataclass(frozen=True)
class Output:
    """log_probabilities: [B, T, vocabulary]. view, readings, written: what was readable, read and written."""

    log_probabilities: Tensor
    view: View
    readings: list[Reading]
    written: Written


class TokenModel(nn.Module):
    """p(next token) = (1 - g) softmax(head) + g sum over the best slots of their share x p(token | slot, state)."""

    def __init__(self, settings: TokenSettings) -> None:
        super().__init__()
        self.settings = settings
        sizes = settings.transformer
        width, crystal = sizes.d_model, sizes.crystal
        self.embedding = nn.Embedding(settings.vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.transformer = InfiniteMemoryTransformer(
            width, sizes.n_heads, crystal, lower=sizes.lower, upper=sizes.upper, window=sizes.window, conv=sizes.conv
        )  # fmt: skip
        self.norm = nn.LayerNorm(width)
        self.copy_value = nn.Linear(crystal.value_bits, width)
        self.copy_state = nn.Linear(width, width)
        self.copy_gate = nn.Linear(width, 1)
        nn.init.constant_(self.copy_gate.bias, -2.0)
        self.bag = nn.Linear(crystal.slots * crystal.slot_bits, settings.vocabulary)

    def forward(
        self,
        tokens: Tensor,
        tail: int | None = None,
        layers: tuple[int, ...] | None = None,
        precision: Precision | None = None,
        shared: bool = False,
    ) -> Output:
        """tokens: int64 [B, T], from the start of a stream. tail: only this many last tokens are read
        for, and what they read was written before them; without it every token reads what was written before it.

        layers: those that may be read, all of them by default. precision: see `Memory.view`. shared: every stream reads
        what all of the batch have written, so others' crystals are negatives.
        """
        model = self.transformer
        start = model.start(len(tokens))
        first = tokens.shape[1] - (tail or 0)
        hidden, written, state = model.write(self._embedded(tokens[:, :first]), start)
        if tail:
            hidden = model.write(self._embedded(tokens[:, first:]), state)[0]
        view = start.memory.view(written, precision)
        view = view if layers is None else view.only(layers)
        view = view.shared() if shared else view
        said, readings = self._said(hidden, view, first if tail else 0)
        return Output(said, view, readings, written)

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """The next tokens [B, T] of a stream: log probabilities [B, T, vocabulary], and the state after them."""
        hidden, written, after = self.transformer.write(self._embedded(tokens), state)
        view = state.memory.view(written)
        hidden, readings, upper = self.transformer.read(hidden, view, state.position, state.upper)
        memory = self.transformer.reinforced(state, after, readings)
        return self._log_probabilities(hidden, view, readings), replace(after, memory=memory, upper=upper)

    def remember(self, tokens: Tensor, state: State) -> State:
        """The state after tokens [B, T], with nothing read on the way: half the work of `step`."""
        return self.transformer.write(self._embedded(tokens), state)[2]

    def ask(self, tokens: Tensor, state: State, layers: tuple[int, ...] | None = None) -> Tensor:
        """As `step`, log probabilities [B, T, vocabulary], and the stream stays where it was."""
        hidden, _, _ = self.transformer.write(self._embedded(tokens), state)
        view = state.memory.view()
        view = view if layers is None else view.only(layers)
        return self._said(hidden, view, state.position)[0]

    def bag_log_probabilities(self, written: Written, precision: Precision = "sign") -> Tensor:
        """What a unit says of the tokens it stands for, as a bag: [B, units, vocabulary]."""
        return F.log_softmax(self.bag(quantise(written.layers[UNIT].slots, precision).flatten(2)), -1)

    def save(self, path: str | Path, command: str = "") -> None:
        """Weights and settings as safetensors, with the command that made them."""
        save(path, "TokenModel", self.settings, self.state_dict(), None, command)

    @classmethod
    def load(cls, path: str | Path) -> TokenModel:
        saved = load(path, "TokenModel")
        model = cls(settings_of(saved.settings["vocabulary"], **saved.settings["transformer"]))
        model.load_state_dict(saved.weights)
        return model

    def _embedded(self, tokens: Tensor) -> Tensor:
        if tokens.dim() != 2 or tokens.dtype != torch.int64:
            raise InvalidInputError(f"tokens are {tokens.dtype} {list(tokens.shape)}; torch.int64 [B, T] is needed")
        return self.embedding(tokens)

    def _said(self, hidden: Tensor, view: View, position: int) -> tuple[Tensor, list[Reading]]:
        hidden, readings, _ = self.transformer.read(hidden, view, position)
        return self._log_probabilities(hidden, view, readings), readings

    def _log_probabilities(self, hidden: Tensor, view: View, readings: list[Reading]) -> Tensor:
        normed = self.norm(hidden)
        own = F.log_softmax(normed @ self.embedding.weight.T, -1)
        if not readings:
            return own
        shares, copies = self._copies(normed, view, readings[-1])
        gate = torch.sigmoid(self.copy_gate(normed)) * shares.sum(-1, keepdim=True)
        copied = torch.einsum("btk,btkv->btv", shares / shares.sum(-1, keepdim=True).clamp(min=1e-6), copies)
        return torch.log((1 - gate) * own.exp() + gate * copied + 1e-9)

    def _copies(self, normed: Tensor, view: View, reading: Reading) -> tuple[Tensor, Tensor]:
        """What the first head reads most: shares [B, T, k], and what token each suggests [B, T, k, vocabulary]."""
        shares, order = reading.weights[:, 0].topk(min(COPIED, reading.weights.shape[-1]), -1)
        values = gather(view.values, reading.chosen[:, 0].gather(-1, order))
        states = F.gelu(self.copy_value(values) + self.copy_state(normed).unsqueeze(2))
        return shares, F.softmax(states @ self.embedding.weight.T, -1)


def settings_of(vocabulary: int, crystal: Mapping[str, Any] | CrystalSettings, **sizes: int) -> TokenSettings:
    """Settings from plain values, as JSON has them."""
    if isinstance(crystal, Mapping):
        frozen: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in crystal.items()
        }
        crystal = CrystalSettings(**frozen)
    return TokenSettings(vocabulary, TransformerSettings(crystal=crystal, **sizes))
