"""InfiniteMemoryTransformer: a windowed transformer that writes crystals below and reads them above.

No recurrence runs through the memory: what is written never depends on what was read, so a whole sequence is trained
at once and the distance between writing and reading does not matter. Knows vectors; knows nothing of tokens.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from agentmem.neural.blocks import Block, Cache, ShortConvolution
from agentmem.neural.crystal import MOVED, MemoryCrystal
from agentmem.neural.files import load, save
from agentmem.neural.memory import Memory
from agentmem.neural.reader import Reader, Reading, gather
from agentmem.neural.settings import ATOM, CrystalSettings, TransformerSettings, check_same
from agentmem.neural.shapes import STATES, Shown, check, check_device, check_finite, check_type, check_weight
from agentmem.neural.values import Written
from agentmem.neural.view import View

KIND = "InfiniteMemoryTransformer"  # of its files
ANEW = "the transformer's start(B) begins a state of B streams"
GATE = 0.1  # more would drown what the lower blocks say, before a reader has learned anything


@dataclass(frozen=True, repr=False)
class State(Shown):
    """What a stream carries from one chunk to the next.

    It says something to the model that made it alone, and `step` checks its `sizes` alone: a model of the same sizes
    with other weights, or another window, takes it. Of a state as bytes, `states.from_bytes` checks both.
    """

    memory: Memory
    convolution: Tensor | None
    lower: tuple[Cache | None, ...]
    upper: tuple[Cache | None, ...]

    @property
    def position(self) -> int:
        """Tokens seen."""
        return self.memory.position

    @property
    def sizes(self) -> dict[str, object]:
        """By name, what the model that goes on with it must have: heads and `conv` only where something was read."""
        crystal, caches = self.memory.settings.sizes, [each for each in (*self.lower, *self.upper) if each is not None]
        blocks = {"d_model": crystal.pop("dimension"), "lower": len(self.lower), "upper": len(self.upper)}
        heads = {"n_heads": caches[0].keys.shape[1]} if caches else {}
        conv = {} if self.convolution is None else {"conv": self.convolution.shape[1] + 1}
        return {**blocks, **crystal, **heads, **conv}


class InfiniteMemoryTransformer(nn.Module):
    """Vectors [B, T, d_model] to vectors of the same shape, causal, with a memory of all that came before.

        model = InfiniteMemoryTransformer(d_model=96, n_heads=4)
        out = model(x)                           # [B, T, 96], whole streams
        out, state = model.step(x, state)        # or as they come; the first state is model.start(B)

    Other keywords are those of TransformerSettings; `crystal` takes CrystalSettings of dimension d_model. With
    `checkpoint_blocks` set, training works out what is within a block twice instead of keeping it: less memory, the
    same gradients. Weights are float32, as a MemoryCrystal's.
    """

    checkpoint_blocks: bool = False

    def __init__(
        self, d_model: int = 768, n_heads: int = 12, crystal: CrystalSettings | None = None, **keywords: int
    ) -> None:
        super().__init__()
        crystal = crystal or CrystalSettings(dimension=d_model)
        self.settings = TransformerSettings(d_model, n_heads, crystal=crystal, **keywords)
        sizes = d_model, n_heads, self.settings.window
        self.convolution = ShortConvolution(d_model, self.settings.conv)
        self.lower = nn.ModuleList(Block(*sizes) for _ in range(self.settings.lower))
        self.crystal = MemoryCrystal(**asdict(crystal))
        self.more_readers = nn.ModuleList(Reader(crystal) for _ in range(self.settings.upper - 1))
        self.gates = nn.Parameter(torch.full((self.settings.upper,), GATE))
        self.upper = nn.ModuleList(Block(*sizes) for _ in range(self.settings.upper))

    @property
    def readers(self) -> list[Reader]:
        """One below each upper block; the first is the crystal's own."""
        return [self.crystal.reader, *self.more_readers]

    def forward(self, x: Tensor, use_infinite_memory: bool = True) -> Tensor:
        """x: [B, T, d_model], from the start of a stream -> [B, T, d_model]. Without memory: windows alone.

        Raises InvalidInputError for another shape, any type but float32, bfloat16 and float16, and numbers that are not
        finite, in x or in what it leads to.
        """
        self._check(x, "B")
        return self.step(x, self.start(len(x)), use_infinite_memory)[0]

    def start(self, streams: int) -> State:
        """The state before the first token of so many streams. Raises InvalidInputError as a MemoryCrystal's."""
        return State(self.crystal.start(streams), None, (None,) * len(self.lower), (None,) * len(self.upper))

    def step(self, x: Tensor, state: State, use_infinite_memory: bool = True) -> tuple[Tensor, State]:
        """The next T tokens of a stream, T >= 1, at a constant cost: up to rounding as `forward` of all at once.

        x: [B, T, d_model] -> [B, T, d_model] and the state after it. Each reader reinforces atoms once in a call;
        what a full budget evicts can be read until its end. So there the steps of a stream matter a little.
        Raises InvalidInputError as `forward`, for another B than the state's, and for a state of other sizes.
        """
        self._check(x, self.streams(state))
        check_finite("x", x)
        hidden, written, after = self.write(x, state)
        view = state.memory.view(written) if use_infinite_memory else None
        out, readings, upper = self.read(hidden, view, positions(state, x), state.upper)
        memory = self.reinforced(after, readings)
        return out, replace(after, memory=memory, upper=upper)

    def write(self, x: Tensor, state: State) -> tuple[Tensor, Written, State]:
        """The half below the memory: x [B, T, d_model] -> states of the same shape, the crystals they complete, and the
        state after it, whose upper windows are empty: those blocks have not read x. Raises InvalidInputError for
        another shape or type and states that are not finite.
        """
        self._check(x, self.streams(state))
        hidden, convolution = self.convolution(x.float(), state.convolution)
        caches = []
        for block, cache in zip(self.lower, state.lower, strict=True):
            hidden, cache = self._through(block, hidden, cache)
            caches.append(cache)
        written, memory = self.crystal.write(hidden, state.memory)
        return hidden, written, State(memory, convolution, tuple(caches), (None,) * len(self.upper))

    def read(
        self, hidden: Tensor, view: View | None, positions: Tensor, caches: tuple[Cache | None, ...] = ()
    ) -> tuple[Tensor, list[Reading], tuple[Cache | None, ...]]:
        """The half above: hidden [B, T, d_model] read, at positions [T], what a view holds (None: nothing).

        Returns states [B, T, d_model], what was read before each block, and the blocks' caches. Raises
        InvalidInputError for a view on another device.
        """
        if view is not None:
            check_device("view", view.cues, self.gates, "take it again, of a memory that is there")
        readings, after = [], []
        before = caches or (None,) * len(self.upper)
        for reader, gate, block, cache in zip(self.readers, self.gates, self.upper, before, strict=True):
            if view is not None and view.number:
                readings.append(reader(hidden, self.crystal.writer.cue, view, positions))
                hidden = hidden + readings[-1].out * torch.tanh(gate)
            hidden, cache = self._through(block, hidden, cache)
            after.append(cache)
        return hidden, readings, tuple(after)

    def streams(self, state: State) -> int:
        """How many streams a state is of. Raises InvalidInputError for what is none, and one that is of other sizes or
        on another device.
        """
        check_type("state", state, State, "start gives the first, step each next one")
        check_same("state", state.sizes, self.settings.sizes)
        check_device("state", state.memory.hidden, self.gates, MOVED)
        return len(state.memory.atoms)

    def save(self, path: str | Path, command: str = "") -> None:
        """Weights and settings in one safetensors file, with the command that made them. See `states` for a State."""
        save(path, KIND, self.settings, self.state_dict(), None, command)

    @classmethod
    def load(cls, path: str | Path) -> InfiniteMemoryTransformer:
        """What `save` wrote. Raises InvalidInputError for a file of something else."""
        return load(path, KIND).built(lambda sizes: cls(**{**sizes, "crystal": CrystalSettings(**sizes["crystal"])}))

    def _check(self, x: Tensor, streams: int | str) -> None:
        check_weight(KIND, self.gates)
        check("x", x, streams, "T", self.settings.d_model, types=STATES, anew=ANEW)
        check_device("x", x, self.gates)

    def _through(self, block: nn.Module, hidden: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        if self.checkpoint_blocks and torch.is_grad_enabled():
            return checkpoint(block, hidden, cache, use_reentrant=False)  # type: ignore[no-any-return, unused-ignore]
        return block(hidden, cache)  # type: ignore[no-any-return, unused-ignore]

    def reinforced(self, after: State, readings: list[Reading]) -> Memory:
        """The memory after it, whose atoms grew by the greatest share that each reading in turn gave them."""
        memory, span = after.memory, self.settings.crystal.spans[ATOM]
        for reading in readings:
            atom = (reading.view.layer == ATOM)[reading.chosen]
            births = gather(reading.view.start.unsqueeze(-1), reading.chosen).squeeze(-1) // span
            memory = memory.reinforced(births.where(atom, -1).flatten(1), reading.weights.detach().flatten(1))
        return memory


def positions(state: State, x: Tensor) -> Tensor:
    """Of the next tokens x [B, T, ...] of a stream: [T]."""
    return state.position + torch.arange(x.shape[1], device=x.device)
