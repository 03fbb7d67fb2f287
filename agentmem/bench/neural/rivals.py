"""Peers trained on the text of our own model, and where they and others of our own are kept.

Knows peers, a corpus and files. Peers of one seed see the same tokens in the same order: streams side by side, chunk by
chunk, each begun anew after a stretch. Ours sees as many of the same documents, in stretches of other places: its own
training draws more from the generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from agentmem.bench.neural.peer_text import PeerTextTraining
from agentmem.bench.neural.peers import Crystal, Peer, build
from agentmem.errors import InvalidInputError, MissingExtraError
from agentmem.neural.corpus import Corpus
from agentmem.neural.files import held, kind_of, load, save
from agentmem.neural.mixed import is_quick
from agentmem.neural.reference import CHUNK, STREAMS, STRETCH
from agentmem.neural.runs import EVERY
from agentmem.neural.text import Stretches, Vocabulary
from agentmem.neural.text_model import TextModel
from agentmem.neural.tokens import KIND as TEXT
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

    def unfinished(self, folder: Path, corpus: Corpus) -> Path:
        """What a training that was stopped goes on from, with the same tokens of the same documents."""
        return folder / f"{self.name}-{self.seed}-{self.tokens}-{corpus.vocabulary.digest}.training"


def train(
    rival: Rival, corpus: Corpus, folder: Path, command: str,
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
            _train(rival, corpus, folder, command, report)


def _train(rival: Rival, corpus: Corpus, folder: Path, command: str, report: Callable[[dict[str, Any]], None]) -> None:
    peer, unfinished = rival.build(), rival.unfinished(folder, corpus)
    mixed = peer.takes_bfloat16 and is_quick(torch.device("cpu"))
    settings = TrainSettings(rival.seed, tokens=rival.tokens, mixed=mixed)
    trainer = Trainer(peer, PeerTextTraining(Stretches(corpus.tokens, STRETCH), STREAMS, CHUNK), settings, report)
    if unfinished.is_file():
        trainer.load(unfinished)
    while trainer.done < 1:
        trainer.train(steps=EVERY)
        trainer.save(unfinished)
    notes = {"vocabulary": corpus.vocabulary.digest, "tokens": trainer.progress.tokens}
    save(rival.file(folder), KIND, rival, peer.state_dict(), None, command, notes)
    unfinished.unlink()


def _check(rival: Rival, there: dict[str, Any], folder: Path) -> None:
    now = vars(rival)
    differing = [f"{name} {there.get(name)}, not {each}" for name, each in now.items() if there.get(name) != each]
    if differing:
        raise InvalidInputError(
            f"{rival.file(folder)} was trained with {'; '.join(differing)}: ask for the same, or name another folder"
        )


@dataclass(frozen=True)
class Entrant:
    """A trained model that is measured. tokens: that it was trained on, 0 where that is not known; seed: of that. file:
    that it is from; command: what made it.
    """

    name: str
    tokens: int
    seed: int
    peer: Peer
    file: Path
    command: str


def ours(path: Path) -> tuple[Entrant, TextModel]:
    """A text model as an entrant. Raises InvalidInputError for a file of something else."""
    saved = load(path, TEXT)
    text = TextModel.of(saved, path)
    training = saved.notes.get("training", {})
    asked = training.get("asked", {})
    tokens = training.get("tokens", asked.get("tokens", 0))  # earlier versions kept what was asked for alone
    return Entrant("ours", tokens, asked.get("seed", 0), Crystal(text.model), path, saved.command), text


def trained(folder: Path, vocabulary: Vocabulary) -> tuple[list[Entrant], list[str]]:
    """The models that a folder keeps, peers and text models, and those left out, whose packages are not installed.

    Raises InvalidInputError for one of another vocabulary.
    """
    found: list[Entrant] = []
    missing: list[str] = []
    for file in sorted(folder.glob("*.safetensors")):
        try:
            found.append(_entrant(file, vocabulary))
        except MissingExtraError as error:
            missing.append(f"{file.stem}: {error}")
    return found, missing


def _entrant(file: Path, vocabulary: Vocabulary) -> Entrant:
    if kind_of(file) == TEXT:
        entrant, text = ours(file)
        there = text.vocabulary.digest
    else:
        saved = load(file, KIND)
        peer = saved.built(lambda settings: Rival(**settings).build(), most=1 << 32)
        rival = Rival(**saved.settings)
        tokens = saved.notes.get("tokens", rival.tokens)
        entrant = Entrant(rival.name, tokens, rival.seed, peer, file, saved.command)
        there = str(saved.notes.get("vocabulary"))
    if there != vocabulary.digest:
        raise InvalidInputError(
            f"{file} was trained with vocabulary {there}, and the model has {vocabulary.digest}: name with "
            "--checkpoint the model that was trained on the same texts, or with --models a folder of its own peers"
        )
    return entrant
