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
from agentmem.neural.files import Saved, load, save
from agentmem.neural.mixed import autocast
from agentmem.neural.quantise import Precision, quantise
from agentmem.neural.reader import Reading, gather
from agentmem.neural.settings import ATOM, CrystalSettings, TransformerSettings, at_least, make_plain, sized
from agentmem.neural.shapes import STATES, TOKENS, Shown, check, check_device
from agentmem.neural.transformer import ANEW, InfiniteMemoryTransformer, State, positions
from agentmem.neural.values import Written
from agentmem.neural.view import View

KIND = "TokenModel"  # of its files
MOST_TOKENS = 2**20  # of a vocabulary
TINY = 1e-9
PART = 256  # slots
SAYS = 2  # times the width, of what is between a slot's bits and what they say


@dataclass(frozen=True)
class TokenSettings:
    """vocabulary: number of tokens. bound: how many tokens after its cue a slot can say. transformer: its sizes."""

    vocabulary: int
    transformer: TransformerSettings
    bound: int = 2

    def __post_init__(self) -> None:
        sized(1, MOST_TOKENS, vocabulary=self.vocabulary)
        at_least(1, bound=self.bound)
        if not isinstance(self.transformer, TransformerSettings):
            raise InvalidInputError(f"transformer={self.transformer!r}: give TransformerSettings")
        if not self.bound < self.transformer.crystal.offsets:
            raise InvalidInputError(
                f"bound={self.bound} tokens in crystals that look {self.transformer.crystal.offsets - 1} tokens ahead: "
                "1 to that many are needed"
            )
        make_plain(self)


@dataclass(frozen=True, repr=False)
class Output(Shown):
    """p(token) = (1 - gate) softmax(logits) + sum over the copies that say it of their share.

    logits: [B, T, vocabulary]. copied, shares: int64 and float [B, T, k], tokens that slots say and how much of each;
    bound: [B, N, bound], tokens that each slot of the last reading's view says. readings, written: what was read and
    written.
    """

    logits: Tensor
    copied: Tensor
    shares: Tensor
    bound: Tensor
    readings: list[Reading]
    written: Written

    @property
    def gate(self) -> Tensor:
        """[B, T], the sum of shares, which rounding may put above 1."""
        return self.shares.sum(-1).clamp(max=1)

    @property
    def read(self) -> Tensor:
        """Of what was read at each token, the shares of the null slot, units, clusters and atoms: [B, T, 4], as means
        over readers and their heads. Where there was nothing to read the null slot has all.
        """
        if not self.readings:
            return F.pad(self.logits.new_zeros(*self.logits.shape[:2], ATOM + 1), (1, 0), value=1.0)
        return torch.stack([reading.shares.mean(1) for reading in self.readings]).mean(0)

    @property
    def log_probabilities(self) -> Tensor:
        """[B, T, vocabulary]"""
        own = (1 - self.gate).unsqueeze(-1) * self.logits.softmax(-1)
        return torch.log(own.scatter_add(-1, self.copied, self.shares) + TINY)

    def of(self, tokens: Tensor) -> Tensor:
        """log p of one token [B, T] at each position: [B, T], cheaper than those of all."""
        check("tokens", tokens, *self.logits.shape[:2])
        own = F.log_softmax(self.logits.float(), -1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1).exp()
        said = (self.shares * (self.copied == tokens.unsqueeze(-1))).sum(-1)
        return torch.log((1 - self.gate) * own + said + TINY)


class TokenModel(nn.Module):
    """A transformer with memory over tokens, whose pointer says again what slots of the memory say.

    Tokens are int64 [B, T], B and T >= 1, from 0 to vocabulary - 1, and B is that of the state they go with; any others
    raise InvalidInputError.
    """

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
        self.bias = nn.Parameter(torch.zeros(settings.vocabulary))
        self.says = nn.Sequential(
            nn.Linear(crystal.value_bits, SAYS * width), nn.GELU(), nn.Linear(SAYS * width, settings.bound * width)
        )  # of few bits a linear map tells few tokens apart
        self.copy_offset = nn.Linear(width, settings.bound)
        self.copy_gate = nn.Linear(width, 1)
        nn.init.constant_(self.copy_gate.bias, -2.0)

    def forward(
        self,
        tokens: Tensor,
        tail: int | None = None,
        layers: tuple[int, ...] | None = None,
        precision: Precision | None = None,
        shared: bool = False,
    ) -> Output:
        """tokens: int64 [B, T], from the start of a stream. tail: only this many last tokens, less than T, are read
        for, and what they read was written before them; without it every token reads what was written before it.

        layers: those that may be read, all of them by default. precision: see `Memory.view`. shared: every stream reads
        what all of the batch have written, so others' crystals are negatives.
        """
        check("tokens", tokens, "B", "T", types=TOKENS)
        if not 0 <= (tail or 0) < tokens.shape[1]:
            raise InvalidInputError(f"tail={tail} of {tokens.shape[1]} tokens: 0 to {tokens.shape[1] - 1} is needed")
        model = self.transformer
        start = model.start(len(tokens))
        first = tokens.shape[1] - (tail or 0)
        hidden, written, state = self._write(tokens[:, :first], start)
        if tail:
            hidden = self._write(tokens[:, first:], state)[0]
        view = start.memory.view(written, precision)
        view = view if layers is None else view.only(layers)
        view = view.shared() if shared else view
        hidden, readings, _ = model.read(
            hidden, view, (first if tail else 0) + torch.arange(hidden.shape[1], device=hidden.device)
        )
        return self._output(hidden, readings, written)

    def through(
        self, tokens: Tensor, state: State, precision: Precision | None = None, layers: tuple[int, ...] | None = None
    ) -> tuple[Output, State]:
        """Read and write the next tokens [B, T] of a stream: what is said of each next one, and the state after.

        precision, layers: as in `forward`.
        """
        hidden, written, after = self._write(tokens, state)
        view = state.memory.view(written, precision)
        view = view if layers is None else view.only(layers)
        hidden, readings, upper = self.transformer.read(hidden, view, positions(state, tokens), state.upper)
        memory = self.transformer.reinforced(after, readings)
        return self._output(hidden, readings, written), replace(after, memory=memory, upper=upper)

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """The next tokens [B, T] of a stream: log probabilities [B, T, vocabulary], and the state after them."""
        output, after = self.through(tokens, state)
        return output.log_probabilities, after

    def remember(self, tokens: Tensor, state: State) -> State:
        """The state after tokens [B, T], with nothing read on the way: half the work of `step`. The blocks above the
        memory begin anew after them.
        """
        return self._write(tokens, state)[2]

    def ask(self, tokens: Tensor, state: State, view: View | None = None, as_of: Tensor | None = None) -> Tensor:
        """As `step`, log probabilities [B, T, vocabulary], and the stream stays where it was: of what the tokens would
        write nothing is read.

        view: what may be read, all of the state's memory by default. as_of: [T], read as if these were the positions,
        so what was written later is not seen; to within an atom's tokens, as units and clusters of then are gone.
        """
        hidden, written, _ = self._write(tokens, state)
        if as_of is not None:
            check("as_of", as_of, tokens.shape[1])
            check_device("as_of", as_of, self.embedding.weight)
        view = view or state.memory.view()
        at = positions(state, tokens)
        at = at if as_of is None else at.minimum(as_of)
        hidden, readings, _ = self.transformer.read(hidden, view, at, state.upper)
        return self._output(hidden, readings, written).log_probabilities

    def says_log_probabilities(self, slots: Tensor, precision: Precision = "sign") -> Tensor:
        """What slots [..., slot_bits] say of the tokens after their cue: [..., bound, vocabulary].

        Raises InvalidInputError for slots of another size.
        """
        crystal = self.settings.transformer.crystal
        any_sizes = slots.shape[:-1] if isinstance(slots, Tensor) else ("...",)
        check("slots", slots, *any_sizes, crystal.slot_bits, types=STATES)
        check_device("slots", slots, self.embedding.weight)
        values = quantise(slots[..., crystal.cue_bits :], precision)
        return F.log_softmax(self._said_logits(values), -1)

    def save(self, path: str | Path, command: str = "", notes: Mapping[str, Any] | None = None) -> None:
        """Weights and settings as safetensors, with the command that made them, and notes on them as JSON has them."""
        save(path, KIND, self.settings, self.state_dict(), None, command, notes)

    @classmethod
    def load(cls, path: str | Path) -> TokenModel:
        """What `save` wrote. Raises InvalidInputError for a file of something else."""
        return cls.of(load(path, KIND))

    @classmethod
    def of(cls, saved: Saved) -> TokenModel:
        """From what a file held. Raises InvalidInputError for what makes no model."""
        return saved.built(lambda of: cls(settings_of(of["vocabulary"], bound=of["bound"], **of["transformer"])))

    def embedded(self, tokens: Tensor, streams: int | None = None) -> Tensor:
        """int64 [B, T] -> [B, T, d_model]. streams: what B must be."""
        check("tokens", tokens, streams or "B", "T", types=TOKENS, anew=ANEW)
        check_device("tokens", tokens, self.embedding.weight)
        least, greatest = (int(each) for each in tokens.aminmax())
        if least < 0 or greatest >= self.settings.vocabulary:
            wrong = least if least < 0 else greatest
            raise InvalidInputError(f"token {wrong}: 0 to {self.settings.vocabulary - 1} are known")
        return self.embedding(tokens) * self.embedding.embedding_dim**0.5

    def _write(self, tokens: Tensor, state: State) -> tuple[Tensor, Written, State]:
        return self.transformer.write(self.embedded(tokens, self.transformer.streams(state)), state)

    def _output(self, hidden: Tensor, readings: list[Reading], written: Written) -> Output:
        normed = self.norm(hidden)
        logits = normed @ self.embedding.weight.T + self.bias
        none = logits.new_zeros(*logits.shape[:2], 0)
        copied, shares, bound = self._copies(normed, readings[-1]) if readings else (none.long(), none, none.long())
        return Output(logits, copied, shares, bound, readings, written)

    def _copies(self, normed: Tensor, reading: Reading) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens that the slots read say, [B, T, heads x k x bound], how much each counts, and what all slots say."""
        bound = self._said(reading.view.values)
        copied = gather(bound, reading.chosen).permute(0, 2, 1, 3, 4).flatten(2)
        offset = self.copy_offset(normed).softmax(-1)[:, :, None, None]
        weights = reading.weights.transpose(1, 2) / reading.weights.shape[1]
        gate = torch.sigmoid(self.copy_gate(normed))
        return copied, gate * (weights.unsqueeze(-1) * offset).flatten(2), bound

    def _said_logits(self, values: Tensor) -> Tensor:
        """Of the tokens that values [..., value_bits] say: [..., bound, vocabulary]."""
        return self.says(values).unflatten(-1, (self.settings.bound, -1)) @ self.embedding.weight.T

    @torch.no_grad()
    def _said(self, values: Tensor) -> Tensor:
        """The likeliest tokens of slots' values [B, N, value_bits]: [B, N, bound]. In parts that the caches hold."""
        with autocast(values.device, enabled=False):
            bound = torch.cat([_greatest(self._said_logits(part)) for part in values.float().flatten(0, 1).split(PART)])
        return bound.unflatten(0, values.shape[:2])


def _greatest(rows: Tensor) -> Tensor:
    """Where the greatest of each row [..., n] is: [...]. On the processor numpy finds it in a fifth of torch's time."""
    return torch.from_numpy(rows.numpy().argmax(-1)) if rows.device.type == "cpu" else rows.argmax(-1)


def settings_of(
    vocabulary: int, crystal: Mapping[str, Any] | CrystalSettings, bound: int = 2, **sizes: int
) -> TokenSettings:
    """Settings from plain values, as JSON has them."""
    crystal = CrystalSettings(**crystal) if isinstance(crystal, Mapping) else crystal
    return TokenSettings(vocabulary, TransformerSettings(crystal=crystal, **sizes), bound)
