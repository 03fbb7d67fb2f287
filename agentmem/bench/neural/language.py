"""`agentmem bench neural lm FILE...`: what a language model gains from remembering a text, and beside which peers.

Knows trained models, documents and a cache of pairs. Knows nothing of training, see `rivals`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agentmem.bench.neural import rivals
from agentmem.bench.neural.pairs import Pairs, fitted, mixed
from agentmem.bench.neural.peers import Crystal, Peer
from agentmem.bench.neural.text import LAST, WARM, TextLoss, text_loss
from agentmem.errors import InvalidInputError
from agentmem.neural.measure import Progress
from agentmem.neural.text import documents
from agentmem.neural.text_model import TextModel

ABOUT = "loss on unseen text after 0 to 64K tokens of memory, of its own and of another document"
SIZES = (0, 1_024, 4_096, 16_384, 65_536)
CACHED = ("ours", "windowed")  # those that a cache of pairs is put beside
STEP = 128  # tokens after which the cache of pairs takes them up
NOTES = """\
FILE is a text file, or a folder of .txt and .md files that is one document. Two at least are needed, each longer than
the longest memory. Judged are the last 1,024 tokens of each; all models have read the 512 tokens before them.
Peers are those that `agentmem bench neural rivals` has trained into --models.

  agentmem bench neural lm books/*.txt --models rivals --json"""


@dataclass(frozen=True)
class Row:
    """A model's mean loss by tokens of memory, of its own text and of another's. bytes: of the longest memory."""

    name: str
    parameters: int
    own: dict[int, float]
    shuffled: dict[int, float]
    bytes: int


def measure(
    text: TextModel, paths: Sequence[str], models: Path | None, sizes: Sequence[int], progress: Progress
) -> dict[str, Any]:
    """Rows of ours and every peer in the folder, each alone and with a cache of pairs of a byte a token beside it."""
    tokens = _long_enough(text, paths, max(sizes))
    peers: dict[str, Peer] = {"ours": Crystal(text.model)}
    peers |= rivals.trained(models, text.vocabulary) if models else {}
    rows: list[Row] = []
    for number, (name, peer) in enumerate(peers.items()):
        progress(name, number / len(peers))
        own = {size: text_loss(peer, tokens, size) for size in sizes}
        other = {size: text_loss(peer, tokens, size, shuffled=True) for size in sizes if size}
        rows.append(_row(name, peer, own, other))
        if name.startswith(CACHED):
            rows.append(_with_pairs(name, peer, tokens, text.vocabulary.size, own, other))
    return {"documents": len(tokens), "judged": LAST, "sizes": list(sizes), "rows": [vars(row) for row in rows]}


def _long_enough(text: TextModel, paths: Sequence[str], memory: int) -> list[Tensor]:
    needed = memory + WARM + LAST + 1
    read = {each.name: text.tokens(each.text)[0] for each in documents(paths)}
    kept = [tokens for tokens in read.values() if len(tokens) >= needed]
    if len(kept) < 2:
        longest = max(map(len, read.values()), default=0)
        raise InvalidInputError(
            f"{len(kept)} of {len(read)} documents have {needed:,} tokens (the longest has {longest:,}); "
            "give two that have, or smaller --sizes"
        )
    return kept


def _row(name: str, peer: Peer, own: Mapping[int, TextLoss], other: Mapping[int, TextLoss]) -> Row:
    parameters = sum(each.numel() for each in peer.parameters())  # type: ignore[attr-defined]
    means, others = ({size: each.nats for size, each in losses.items()} for losses in (own, other))
    return Row(name, parameters, means, others, own[max(own)].memory_bytes)


def _with_pairs(
    name: str, peer: Peer, tokens: list[Tensor], vocabulary: int,
    own: Mapping[int, TextLoss], other: Mapping[int, TextLoss],
) -> Row:  # fmt: skip
    """A model with the cache beside it. Its weights for a document are those that serve the other documents best."""
    shifted = [*tokens[1:], tokens[0]]
    ours = {size: _cached(each, tokens, tokens, size, vocabulary) for size, each in own.items()}
    others = {size: _cached(each, tokens, shifted, size, vocabulary) for size, each in other.items()}
    row = _row(f"{name} + pairs", peer, own, other)
    held = Pairs(vocabulary)
    held.remember(tokens[0][: max(own)])
    return Row(row.name, row.parameters, ours, others, row.bytes + held.bytes)


def _cached(loss: TextLoss, tokens: list[Tensor], memories: list[Tensor], size: int, vocabulary: int) -> float:
    told = [_chances(each, memory, size, vocabulary) for each, memory in zip(tokens, memories, strict=True)]
    costs = []
    for i, (chance, counts) in enumerate(told):
        rest = [j for j in range(len(told)) if j != i]
        weights = fitted(
            torch.cat([loss.each[j] for j in rest]), *(torch.cat([told[j][part] for j in rest]) for part in (0, 1))
        )
        costs.append(mixed(loss.each[i], chance, counts, weights).mean())
    return float(torch.stack(costs).mean())


def _chances(tokens: Tensor, memory: Tensor, size: int, vocabulary: int) -> tuple[Tensor, Tensor]:
    """What pairs say of the stretch of tokens after a memory of that size, taken up as the stretch is read."""
    pairs = Pairs(vocabulary)
    end = len(memory) - WARM - LAST - 1
    pairs.remember(torch.cat((memory[end - size : end], tokens[-WARM - LAST - 1 : -LAST])))
    said = []
    stretch = tokens[-LAST - 1 :]
    for before, following in zip(stretch[:-1].split(STEP), stretch[1:].split(STEP), strict=True):
        said.append(pairs.chances(before, following))
        pairs.remember(following)
    chance, counts = (torch.cat(each) for each in zip(*said, strict=True))
    return chance, counts


def markdown(results: Mapping[str, Any]) -> str:
    """A table: a row for each model and memory, a column for each size."""
    sizes = results["sizes"]
    head = ["model", "memory of", *(f"{size // 1024}K" if size else "0" for size in sizes), "falls by", "bytes"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in results["rows"]:
        for kind, losses in (("own text", row["own"]), ("another", row["shuffled"])):
            cells = [f"{losses[size]:.3f}" if size in losses else "" for size in sizes]
            falls = f"{losses[sizes[0]] - losses[sizes[-1]]:+.3f}" if sizes[0] in losses else ""
            lines.append(f"| {row['name']} | {kind} | {' | '.join(cells)} | {falls} | {row['bytes']:,} |")
    return "\n".join(lines) + "\n"
