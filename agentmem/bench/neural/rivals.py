"""`agentmem bench neural rivals PATH... --out DIR`: peers trained on the text of our own model.

Knows peers, a corpus and where trained peers are kept. Each sees the same tokens in the same order: streams side by
side, chunk by chunk, each begun anew after a stretch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentmem.bench.neural.peer_text import PeerTextTraining
from agentmem.bench.neural.peers import Peer, build
from agentmem.errors import InvalidInputError
from agentmem.neural.files import held, load, save
from agentmem.neural.reference import CHUNK, STREAMS, STRETCH
from agentmem.neural.runs import EVERY
from agentmem.neural.text import Stretches, Tokens, Vocabulary
from agentmem.neural.train import Trainer, TrainSettings

KIND = "Rival"


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
        return build(self.name, self.vocabulary, self.parameters, self.window, self.depth, self.seed)

    def file(self, folder: Path) -> Path:
        return folder / f"{self.name}-{self.seed}.safetensors"


def train(
    rival: Rival, tokens: tuple[Tokens, ...], folder: Path, command: str,
    report: Callable[[dict[str, Any]], None] = lambda line: None,
) -> None:  # fmt: skip
    """Train a peer and keep it in the folder, and on the way what is needed to go on. Nothing is done if it is there.

    Raises InvalidInputError if another is there: of another size, or trained on more or fewer tokens. SettingsError
    while another process trains it there.
    """
    with held(rival.file(folder).with_suffix(".lock")):
        if rival.file(folder).is_file():
            _check(rival, load(rival.file(folder), KIND).settings, folder)
        else:
            _train(rival, tokens, folder, command, report)


def _train(
    rival: Rival, tokens: tuple[Tokens, ...], folder: Path, command: str, report: Callable[[dict[str, Any]], None]
) -> None:
    peer, unfinished = rival.build(), folder / f"{rival.name}-{rival.seed}-{rival.tokens}.training"
    settings = TrainSettings(rival.seed, tokens=rival.tokens, mixed=peer.takes_bfloat16)
    trainer = Trainer(peer, PeerTextTraining(Stretches(tokens, STRETCH), STREAMS, CHUNK), settings, report)
    if unfinished.is_file():
        trainer.load(unfinished)
    while trainer.done < 1:
        trainer.train(steps=EVERY)
        trainer.save(unfinished)
    save(rival.file(folder), KIND, rival, peer.state_dict(), None, command)
    unfinished.unlink()


def _check(rival: Rival, there: dict[str, Any], folder: Path) -> None:
    now = vars(rival)
    differing = [f"{name} {there.get(name)}, not {each}" for name, each in now.items() if there.get(name) != each]
    if differing:
        raise InvalidInputError(
            f"{rival.file(folder)} was trained with {'; '.join(differing)}: ask for the same, or name another folder"
        )


def trained(folder: Path, vocabulary: Vocabulary) -> dict[str, Peer]:
    """The peers that a folder keeps, by name and seed. Raises InvalidInputError for one of another vocabulary."""
    peers = {}
    for file in sorted(folder.glob("*.safetensors")):
        saved = load(file, KIND)
        there = saved.settings.get("vocabulary")
        if there != vocabulary.size:
            raise InvalidInputError(
                f"{file} was trained with {there} tokens, the model with {vocabulary.size}: train it on the same corpus"
            )
        peers[file.stem] = saved.built(lambda settings: Rival(**settings).build())
    return peers
