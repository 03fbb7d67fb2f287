"""What a choice from remembered lines is measured against: a GRU over the steps of a shift, which is shown no lines.

It sees every observation in order, the first PRESENT words of it; what is seen and what is offered share a table of
words as ChoiceNetwork's. Knows tensors of numbered words, and observations; knows no training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentmem.bench.neural.peers.sizes import count, nearest
from agentmem.neural.files import save
from agentmem.neural.settings import at_least
from agentmem.neural.shapes import check
from agentmem.policy.choice import NOTHING, ChoiceSettings, WordNetwork
from agentmem.policy.choosing import numbered, one_thread
from agentmem.policy.reference import choice_network, seeded
from agentmem.policy.words import CHOICES, OWN, PRESENT
from agentmem.types import PlanningContext

KIND = "RecurrentChoice"


@dataclass(frozen=True)
class RecurrentSettings(ChoiceSettings):
    """size: states of the GRU."""

    size: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, size=self.size)


class RecurrentChoice(WordNetwork):
    """Logits of candidates at each step of an episode (GRU: Cho et al. 2014, arXiv:1406.1078)."""

    def __init__(self, settings: RecurrentSettings = RecurrentSettings()) -> None:
        super().__init__(settings.words, settings.width)
        self.settings, width = settings, settings.width
        self.seen = nn.Linear(3 * width, width)
        self.gru = nn.GRU(width, settings.size, batch_first=True)
        self.wanted = nn.Linear(settings.size + width, 2 * width)
        self.candidate = nn.Linear(4 * width + 1, width)
        self.compare = nn.TransformerEncoderLayer(
            width, settings.heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.out = nn.Linear(width, 1)

    def forward(self, present: Tensor, own: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """present int64 [B, T, PRESENT], own int64 [B, T, CHOICES, OWN] of the next steps; state [1, B, size] before
        them, None at the beginning -> logits [B, T, CHOICES], far below all others where there is no candidate, and the
        state after them.

        Raises InvalidInputError for other shapes.
        """
        check("present", present, "B", "T", PRESENT, types=(torch.int64,))
        check("own", own, *present.shape[:2], CHOICES, OWN, types=(torch.int64,))
        asked, there = self._pooled(present), own[..., :1] > 0
        calls = torch.cat((self._pooled(own[..., 1:]), self.word(self._rows(own[..., 0]))), -1)
        offered = (calls * there).sum(2) / there.sum(2).clamp(min=1)
        hidden, state = self.gru(F.gelu(self.seen(torch.cat((asked, offered), -1))), state)
        wanted = self.wanted(torch.cat((hidden, asked), -1)).unsqueeze(2)
        here = self._share(own[..., 1:].flatten(0, 1), present.view(-1, 1, PRESENT)).view(*calls.shape[:3], 1)
        candidates = F.gelu(self.candidate(torch.cat((calls, calls * wanted, here), -1)))
        logits = self.out(self.compare(candidates.flatten(0, 1))).view(own.shape[:3])
        return logits.masked_fill(~there.squeeze(-1), NOTHING), state

    def save(self, path: Path) -> None:
        save(path, KIND, self.settings, self.state_dict(), None)


def recurrent_choice(seed: int) -> RecurrentChoice:
    """With as many parameters as the network that chooses from lines, within 3 %; the same for the same seed."""

    def of(size: int) -> RecurrentChoice:
        return seeded(seed, lambda: RecurrentChoice(RecurrentSettings(size=size)))

    return of(nearest(range(1, 1_024), lambda size: count(of(size)), count(choice_network(0))))


class RecurrentPolicy:
    """Acts in an episode that `begin` began, by a network; it reads no context. name: as a rollout notes it."""

    def __init__(self, network: RecurrentChoice, name: str | None = None) -> None:
        self.network, self.name = network.eval(), name

    def begin(self, seed: int) -> Playing:
        """The policy of one episode."""
        return Playing(self.network)

    def act(self, observation: Any, context: PlanningContext | None) -> int:
        """As at the first step of an episode; the others are those of what `begin` gives."""
        return self.begin(0).act(observation, context)


class Playing:
    """A network in one episode: at each step the likeliest call."""

    def __init__(self, network: RecurrentChoice) -> None:
        self.network = network
        self._state: Tensor | None = None

    @torch.no_grad()
    def act(self, observation: Any, context: PlanningContext | None) -> int:
        """Raises InvalidInputError for an observation without candidates, or with too many."""
        present, own = (torch.from_numpy(part).long()[None, None] for part in numbered(observation))
        with one_thread():
            logits, self._state = self.network(present, own, self._state)
        return int(logits[0, 0].argmax())
