"""`agentmem bench neural rivals PATH... --out DIR`: peers trained on the text of our own model.

Knows peers, a corpus and where trained peers are kept. Each sees the same tokens in the same order: streams side by
side, chunk by chunk, each begun anew after a stretch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from agentmem.bench.neural.peers import Peer, build
from agentmem.bench.neural.text import TextProgress, TextSettings, fit_text
from agentmem.errors import InvalidInputError
from agentmem.neural.files import load, save
from agentmem.neural.reference import CHUNK, STREAMS, STRETCH
from agentmem.neural.text import Stretches, Tokens, Vocabulary

KIND = "Rival"
IN_FLOAT32 = ("mingru",)  # its scan is in logarithms: bfloat16 costs it accuracy


@dataclass(frozen=True)
class Rival:
    """What a peer was built from. seed, tokens: of its training."""

    name: str
    vocabulary: int
    parameters: int
    window: int
    depth: int
    seed: int
    tokens: int

    def build(self) -> Peer:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return build(self.name, self.vocabulary, self.parameters, self.window, self.depth)

    def file(self, folder: Path) -> Path:
        return folder / f"{self.name}-{self.seed}.safetensors"


def train(
    rival: Rival, tokens: tuple[Tokens, ...], folder: Path, command: str,
    report: Callable[[dict[str, Any]], None] = lambda line: None,
) -> TextProgress | None:  # fmt: skip
    """Train a peer and keep it in the folder; nothing is done if it is there already."""
    if rival.file(folder).is_file():
        return None
    peer = rival.build()
    settings = TextSettings(rival.tokens, bfloat16=peer.takes_bfloat16 and rival.name not in IN_FLOAT32)
    done = fit_text(peer, batches(Stretches(tokens, STRETCH), rival.seed), settings, report)
    save(rival.file(folder), KIND, rival, cast(nn.Module, peer).state_dict(), None, command)
    return done


def batches(stretches: Stretches, seed: int) -> Iterator[tuple[Tensor, bool]]:
    """As our own training on text reads them: tokens [STREAMS, CHUNK + 1], and whether all streams start anew."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        tokens = stretches.draw(STREAMS, generator)
        for start in range(0, STRETCH, CHUNK):
            yield tokens[:, start : start + CHUNK + 1], start == 0


def trained(folder: Path, vocabulary: Vocabulary) -> dict[str, Peer]:
    """The peers that a folder keeps, by name and seed. Raises InvalidInputError for one of another vocabulary."""
    peers = {}
    for file in sorted(folder.glob("*.safetensors")):
        saved = load(file, KIND)
        rival = Rival(**saved.settings)
        if rival.vocabulary != vocabulary.size:
            raise InvalidInputError(
                f"{file} was trained with {rival.vocabulary} tokens, the model with {vocabulary.size}: "
                "train it on the same corpus"
            )
        peers[file.stem] = rival.build()
        cast(nn.Module, peers[file.stem]).load_state_dict(saved.weights)
    return peers
