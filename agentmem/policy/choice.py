"""ChoiceNetwork: chooses among offered calls by what remembered lines say of their values.

A candidate's evidence are the lines that its own words stand in, each read beside the present; where tools differ, its
tool beside the present is evidence too. Then candidates are compared with each other. Words are equal or not, so one
that was never seen is found again all the same. Knows tensors of numbered words; knows no texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentmem.errors import InvalidInputError
from agentmem.neural.blocks import Block
from agentmem.neural.settings import at_least
from agentmem.neural.shapes import check
from agentmem.policy.words import CHOICES, HEAD, LINE, LINES, OWN, PRESENT

FEATURES = 6
"""Of a candidate and a line: see `_found`."""
FAR = 5.0
NOTHING = -1e4


@dataclass(frozen=True)
class ChoiceSettings:
    """words: rows of the table of words, to which their numbers are folded. width: of states. heads: of attention."""

    words: int = 8192
    width: int = 64
    heads: int = 4

    def __post_init__(self) -> None:
        at_least(2, words=self.words)
        at_least(1, width=self.width, heads=self.heads)
        if self.width % self.heads:
            raise InvalidInputError(f"width={self.width} over heads={self.heads}: the same whole width each is needed")


class WordNetwork(nn.Module):
    """A table of `words` rows of `width` numbers, to which the numbers of words are folded, and what each counts."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.word = nn.Embedding(words, width, padding_idx=0)
        self.weight = nn.Embedding(words, 1)
        nn.init.normal_(self.word.weight, std=width**-0.5)
        nn.init.zeros_(self.weight.weight)

    def _rows(self, words: Tensor) -> Tensor:
        return torch.where(words > 0, words % (self.word.num_embeddings - 1) + 1, 0)

    def _weights(self, words: Tensor) -> Tensor:
        """How much each of the words [..., W] counts; they add up to 1."""
        weights: Tensor = self.weight(self._rows(words)).squeeze(-1)
        return weights.masked_fill(words == 0, NOTHING).softmax(-1)

    def _pooled(self, words: Tensor) -> Tensor:
        """Words [..., W] as one vector [..., width]."""
        rows, weights = self._rows(words).flatten(0, -2), self._weights(words).flatten(0, -2)
        pooled = F.embedding_bag(rows, self.word.weight, per_sample_weights=weights, mode="sum", padding_idx=0)
        return pooled.view(*words.shape[:-1], -1)

    def _share(self, own: Tensor, texts: Tensor) -> Tensor:
        """The share of each candidate's own words [B, K, O] that stand in each text [B, L, W]: [B, K, L]."""
        there = own > 0
        same = (own[:, :, :, None, None] == texts[:, None, None]).any(-1) & there.unsqueeze(-1)
        return same.sum(2) / there.sum(-1).clamp(min=1).unsqueeze(-1)


class ChoiceNetwork(WordNetwork):
    """Logits of candidates, from numbered words; 0 is none. See `agentmem.policy.words`."""

    def __init__(self, settings: ChoiceSettings = ChoiceSettings()) -> None:
        super().__init__(settings.words, settings.width)
        self.settings, width = settings, settings.width
        self.line = nn.Linear(2 * width + 2, width)
        self.asked = nn.Linear(width, width)
        self.told = Block(width, settings.heads, LINES)
        self.product = nn.Linear(width, width, bias=False)
        self.beside = nn.Linear(2 * width, width)
        self.found = nn.Linear(FEATURES, width, bias=False)
        self.evidence = nn.Linear(width, width + 1)
        self.candidate = nn.Linear(2 * width + 1, width)
        self.wanted = nn.Linear(width, width)
        self.tool = nn.Linear(2 * width, width, bias=False)
        self.compare = nn.TransformerEncoderLayer(
            width, settings.heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.out = nn.Linear(width, 1)

    def forward(self, present: Tensor, lines: Tensor, own: Tensor) -> Tensor:
        """present int64 [B, PRESENT], lines int64 [B, L, HEAD + LINE] in the order of the context, own int64
        [B, CHOICES, OWN] -> logits [B, CHOICES], far below all others where there is no candidate.

        Raises InvalidInputError for other shapes.
        """
        check("present", present, "B", PRESENT, types=(torch.int64,))
        check("lines", lines, len(present), "L", HEAD + LINE, types=(torch.int64,))
        check("own", own, len(present), CHOICES, OWN, types=(torch.int64,))
        tools, own = own[..., 0], own[..., 1:]
        asked, near = self._pooled(present), self._overlap(present, lines)
        told = torch.cat((self._pooled(lines[..., :HEAD]), self._pooled(lines[..., HEAD:]), near), -1)
        told = self.told(self.line(told) + self.asked(asked)[:, None], None)[0]
        told = self.beside(torch.cat((told, told * self.product(asked)[:, None]), -1))
        found = self._found(own, lines, near)
        evidence = self._gathered(self.evidence(F.gelu(told[:, None] + self.found(found))), found[..., 0])
        here = self._share(own, present.unsqueeze(1))
        candidates = self.candidate(torch.cat((evidence, here), -1)) + self._tools(tools, asked)
        compared = self.compare(F.gelu(candidates))
        logits: Tensor = self.out(compared).squeeze(-1)
        return logits.masked_fill(tools == 0, NOTHING)

    def _tools(self, tools: Tensor, asked: Tensor) -> Tensor:
        """What the tools [B, K] say of candidates [B, K, width], beside what is asked [B, width]; nothing where all
        have the same one.
        """
        word = self.word(self._rows(tools))
        said: Tensor = self.tool(torch.cat((word, word * self.wanted(asked).unsqueeze(1)), -1))
        differ = ((tools != tools[:, :1]) & (tools > 0)).any(-1)
        return said * differ[:, None, None]

    def _gathered(self, said: Tensor, share: Tensor) -> Tensor:
        """What all lines say of a candidate [B, K, 2 width]: as the attended one does, and added up. said: [B, K, L,
        width + 1], the last is attention; share: [B, K, L], nothing where a line has none of its words.
        """
        attention = F.pad(said[..., -1].masked_fill(share == 0, NOTHING), (0, 1)).softmax(-1)[..., :-1]
        weights = torch.stack((attention, share / 4), -2)
        return (weights @ said[..., :-1]).flatten(-2)

    def _overlap(self, present: Tensor, lines: Tensor) -> Tensor:
        """How much of the present's weight stands in each line's head and text: [B, L, 2]."""
        weights = self._weights(present).unsqueeze(-1)
        both = []
        for part in (lines[..., :HEAD], lines[..., HEAD:]):
            same = (part.unsqueeze(-1) == present[:, None, None]) & (part > 0).unsqueeze(-1)
            both.append(same.any(2).float() @ weights)
        return torch.cat(both, -1)

    def _found(self, own: Tensor, lines: Tensor, near: Tensor) -> Tensor:
        """Of candidates and lines [B, K, L, FEATURES]: the share of own words there, whether all are, how far from the
        end the line is, whether it is one, and the overlap of its head and text with the present.
        """
        share = self._share(own, lines[..., HEAD:])
        far = torch.arange(lines.shape[1], 0, -1, device=lines.device).log().expand_as(share) / FAR
        real = (lines > 0).any(-1).float().unsqueeze(1).expand_as(share)
        beside = near.unsqueeze(1).expand(-1, own.shape[1], -1, -1)
        return torch.cat((torch.stack((share, (share == 1).float(), far, real), -1), beside), -1)
