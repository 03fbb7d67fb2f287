"""Chains of links, to be followed over 1 to 3 hops: multi-hop recall in which every hop is spoken.

A link is LINK a a a b b b, a question HOP a a a and then b b b c c c ..., so that each hop is a recall of its own.
Knows tokens and a generator; the same seed gives the same tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.tasks import layout
from agentmem.neural.tasks.layout import KEY
from agentmem.neural.tasks.task import HOP, LINK, Questions

LENGTH = 1 + 2 * KEY
MOST_HOPS = 3
GAP = 4  # tokens of filler with each question


@dataclass(frozen=True)
class Links:
    """keys: [B, chains, hops + 1, 3], in order along each chain. at: [B, chains, hops], where each link's LINK stands.

    sources, targets: [B, distractors, 3], keys of links that belong to no chain. elsewhere: [B, distractors], where
    those stand.
    """

    keys: Tensor
    at: Tensor
    sources: Tensor
    targets: Tensor
    elsewhere: Tensor


@dataclass(frozen=True)
class Chains:
    """Streams of `horizon` tokens with the links of `chains` chains, in any order.

    distractors: further links, from keys of their own to keys of the chains. near: see RecallTask. No two links of a
    batch start from the same key.
    """

    horizon: int
    chains: int
    hops: int = 2
    distractors: int = 0
    near: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.hops <= MOST_HOPS or self.distractors < 0 or self.chains < 1:
            raise InvalidInputError(
                f"chains={self.chains}, hops={self.hops}, distractors={self.distractors}: "
                f"1 chain or more, 1 to {MOST_HOPS} hops and 0 distractors or more are needed"
            )
        layout.check_share("near", self.near)
        layout.check_fits(self._links, "links", LENGTH, self.horizon)

    @property
    def vocabulary(self) -> int:
        return HOP + 1

    @property
    def askable(self) -> int:
        return self.chains

    @property
    def distinct(self) -> bool:
        return True

    @property
    def _links(self) -> int:
        return self.chains * self.hops + self.distractors

    def stream(self, streams: int, generator: torch.Generator) -> tuple[Tensor, Links]:
        """Tokens [streams, horizon] and the links in them."""
        links = self._drawn(streams, generator)
        sources = torch.cat((links.keys[:, :, :-1].flatten(1, 2), links.sources), 1)
        targets = torch.cat((links.keys[:, :, 1:].flatten(1, 2), links.targets), 1)
        at = torch.cat((links.at.flatten(1), links.elsewhere), 1)
        tokens = layout.filler(streams, self.horizon, generator)
        return layout.put(tokens, at, layout.marked(LINK, sources, targets)), links

    def questions(self, facts: Links, number: int, generator: torch.Generator) -> Questions:
        """`number` questions per stream, each about a whole chain; none twice if there are enough."""
        streams = len(facts.at)
        chain = layout.drawn(torch.ones(streams, self.chains, dtype=torch.bool), number, generator)
        rows = torch.arange(streams)[:, None]
        keys = facts.keys[rows, chain]
        said = layout.marked(HOP, keys[:, :, 0])
        answers = keys[:, :, 1:].flatten(2)
        every = said.shape[-1] + answers.shape[-1] + GAP
        return layout.asked(said, answers, facts.at[rows, chain] + KEY, generator, every, step=KEY)

    def _drawn(self, streams: int, generator: torch.Generator) -> Links:
        along = self.chains * (self.hops + 1)
        keys = layout.distinct_keys(streams, along + self.distractors, self.near, generator)
        keys, sources = keys.split((along, self.distractors), 1)
        lead_to = torch.randint(along, (streams, self.distractors), generator=generator)
        targets = keys[torch.arange(streams)[:, None], lead_to]
        at = layout.shuffled(layout.spread(streams, self._links, LENGTH, self.horizon, generator), generator)
        at, elsewhere = at.split((self.chains * self.hops, self.distractors), 1)
        along_each = keys.unflatten(1, (self.chains, self.hops + 1))
        return Links(along_each, at.unflatten(1, (self.chains, self.hops)), sources, targets, elsewhere)
