"""ChoicePolicy: a trained choice among the calls that an observation offers, given a planning context.

Knows observations, planning contexts and files. It has no state: what it knows of the past is what it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agentmem.errors import InvalidInputError
from agentmem.ingest.values import candidates_of, text_of
from agentmem.neural.files import Saved, save
from agentmem.policy.choice import ChoiceNetwork, ChoiceSettings
from agentmem.policy.words import CHOICES, LINES, Lines, offered, padded
from agentmem.types import PlanningContext

KIND = "ChoicePolicy"


class ChoicePolicy:
    """Acts by a network: the number of the line in `candidates` that it thinks right. name: as a rollout notes it."""

    name: str | None = None

    def __init__(self, network: ChoiceNetwork) -> None:
        self.network = network.eval()

    def act(self, observation: Any, context: PlanningContext | None) -> int:
        """Raises InvalidInputError for an observation without candidates, or with too many."""
        return self.act_many((self,), (observation,), (context,))[0]

    @torch.no_grad()
    def act_many(
        self, policies: Sequence[Any], observations: Sequence[Any], contexts: Sequence[PlanningContext | None]
    ) -> list[int]:
        """As `act`, for several episodes at once."""
        lines = Lines()
        told = [lines.of(context.text if context is not None else "") for context in contexts]
        seen = [numbered(each) for each in observations]
        longest = max(LINES, *map(len, told))
        if longest > LINES and len(told) > 1:  # so that each acts as it does alone
            return [self.act(*each) for each in zip(observations, contexts, strict=True)]
        rows = lines.table[np.stack([padded(each, longest) for each in told])]
        present, own = (np.stack(part) for part in zip(*seen, strict=True))
        with one_thread():
            logits = self.network(*(torch.from_numpy(each.astype(np.int64)) for each in (present, rows, own)))
        return [int(each) for each in logits.argmax(-1)]

    def save(self, path: str | Path, command: str = "", notes: Mapping[str, Any] | None = None) -> None:
        save(path, KIND, self.network.settings, self.network.state_dict(), None, command, notes)

    @classmethod
    def of(cls, saved: Saved) -> ChoicePolicy:
        """From what a file held. Raises InvalidInputError for what makes no policy, or one that sees no tools."""
        if "tool.weight" not in saved.weights:
            raise InvalidInputError(
                f"{saved.path} was trained before policies saw the tools of calls: train it again by `agentmem train "
                "policy`, into another folder, or name another"
            )
        made = saved.built(lambda settings: ChoiceNetwork(ChoiceSettings(**settings)))
        assert isinstance(made, ChoiceNetwork)
        return cls(made)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread within it: of so small a network the others would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def numbered(observation: Any) -> tuple[np.ndarray, np.ndarray]:
    """What `offered` makes of an observation. Raises InvalidInputError for one without candidates, or with too many."""
    found = candidates_of(observation)
    if not 0 < len(found) <= CHOICES:
        raise InvalidInputError(
            f"this policy chooses among 1 to {CHOICES} offered calls, and an observation here offers {len(found)}: "
            "play a shift, such as agentmem/ShiftShop-Short-v0, which offers `candidates`, or give another policy: "
            "random, chat:MODEL, your.module:name, or in a workflow oracle"
        )
    return offered(text_of(observation), found)
