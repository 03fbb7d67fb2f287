"""The model that is measured: the package's own checkpoint or a file, and room for all atoms of a stream.

Knows files of token models, and what the recall task needs of one. Knows nothing of what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agentmem.errors import InvalidInputError
from agentmem.neural import checkpoints
from agentmem.neural.files import load
from agentmem.neural.settings import ATOM, CrystalSettings
from agentmem.neural.tasks.key_value import VOCABULARY
from agentmem.neural.tokens import KIND, TokenModel

SHIPPED = "recall"
OTHERS = ("task", "vocabulary")
"""Notes that models of other tasks, and of text, have."""


@dataclass(frozen=True)
class Measured:
    """A model as it was trained. file: where it is from. command: what made it."""

    model: TokenModel
    file: Path
    command: str

    @property
    def parameters(self) -> int:
        return sum(each.numel() for each in self.model.parameters())

    def settings(self) -> dict[str, Any]:
        """What results say of it."""
        shipped = self.file.parent == checkpoints.HERE
        return {
            "checkpoint": f"agentmem.neural.checkpoints: {self.file.stem}" if shipped else str(self.file),
            "made_by": self.command,
            "parameters": self.parameters,
        }


def measured(given: Path | None) -> Measured:
    """The model of the recall task in a file, the package's own for None.

    Raises NotFoundError or InvalidInputError where there is none, and for a model of something else.
    """
    found, others = _of_file(given)
    if others:
        raise InvalidInputError(
            f"{found.file} was made by `{found.command}` and has not learned the recall task; name a model that has"
        )
    return found


def any_measured(given: Path | None) -> Measured:
    """As `measured`, whatever a model was trained on."""
    return _of_file(given)[0]


def _of_file(given: Path | None) -> tuple[Measured, bool]:
    """A model, and whether it was trained on text or another task."""
    file = given or checkpoints.path(SHIPPED)
    if not file.is_file():
        raise InvalidInputError(
            f"--checkpoint {file} is no file; name one of TokenModel.save, or leave it out for the package's own"
        )
    saved = load(file, KIND)
    model = TokenModel.of(saved)
    if model.settings.vocabulary < VOCABULARY:
        raise InvalidInputError(
            f"{file} knows {model.settings.vocabulary} tokens and the recall task has {VOCABULARY}; name a model that "
            "was trained on it"
        )
    return Measured(model.eval(), file, saved.command), not saved.notes.keys().isdisjoint(OTHERS)


def with_room(model: TokenModel, tokens: int) -> TokenModel:
    """The same model with a budget for every atom of a stream of so many tokens, and for no more."""
    sizes = model.settings.transformer
    crystal = replace(sizes.crystal, budget=room(sizes.crystal, tokens))
    roomy = TokenModel(replace(model.settings, transformer=replace(sizes, crystal=crystal)))
    roomy.load_state_dict(model.state_dict())
    return roomy.eval()


def budget_of(model: TokenModel) -> int:
    """Bytes of atoms, at most."""
    return model.settings.transformer.crystal.budget


def room(settings: CrystalSettings, tokens: int) -> int:
    """Bytes of all atoms of a stream of so many tokens, one atom at least: 100 for every 100 tokens."""
    return max(1, -(-tokens // settings.spans[ATOM])) * settings.atom_bytes
