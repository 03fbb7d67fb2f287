"""`agentmem bench neural lm FILE...`: what a language model gains from remembering a text, and beside which peers.

Knows trained models, documents and a cache of pairs. Knows nothing of training, see `rivals`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agentmem.bench.arguments import some_of
from agentmem.bench.neural import charts, rivals
from agentmem.bench.neural.options import add_files, amount, seeds
from agentmem.bench.neural.pairs import Pairs, fitted, mixed
from agentmem.bench.neural.peer_text import LAST, WARM, TextLoss, text_loss
from agentmem.bench.neural.peers import PEERS, Crystal, Peer
from agentmem.errors import InvalidInputError
from agentmem.neural import checkpoints
from agentmem.neural.corpus import kept
from agentmem.neural.measure import Watch
from agentmem.neural.text import documents
from agentmem.neural.text_model import TextModel

ABOUT = "Loss on unseen text by tokens of memory, beside peers."
SHIPPED = "text"
SIZES = (0, 1_024, 4_096, 16_384, 65_536)
CACHED = ("ours", "windowed")  # those that a cache of pairs is put beside
STEP = 128  # tokens after which the cache of pairs takes them up
WINDOW, DEPTH = 128, 4  # of every peer, as of our own model
TRAINING: dict[str, Any] = {"peers": ["windowed"], "tokens": 3_000_000, "seed": [0]}
"""What is trained by default."""
NOTES = """\
FILE is a text file, or a folder of .txt and .md files that is one document. Two
at least are needed, each longer than the longest memory. Judged are the last
1,024 tokens of each, after a memory of its own text and after one of another;
all models have read the 512 tokens right before them.

Peers are those in --models. With --train they are trained into it first, where
they are not yet: on the documents of a folder that `agentmem train neural text`
made, with as many parameters as our model.

  agentmem bench neural lm a.txt b.txt --models rivals --train runs/text
"""


def add(parser: argparse.ArgumentParser) -> None:
    of = parser.add_argument
    of("files", nargs="+", metavar="FILE", help="documents that no model was trained on")
    of(
        "--sizes",
        type=sizes_of,
        default=list(SIZES),
        metavar="N,N",
        help="of memory, in tokens; 0,1024,...,65536",
    )
    of("--models", type=Path, metavar="DIR", help="of trained peers; without, ours alone")
    of("--train", type=Path, metavar="DIR", help="train peers on what this training read")
    of("--peers", type=some_of(list(PEERS)), metavar="A,B", help=f"that are trained: {', '.join(PEERS)}; windowed")
    of("--tokens", type=amount, metavar="N", help="to train on; 3m")
    of("--seed", type=seeds, metavar="S,S", help="of peers that are trained; 0")
    add_files(parser)


def sizes_of(text: str) -> list[int]:
    """Amounts with commas between, 0 among them."""
    return [0 if part == "0" else amount(part) for part in text.split(",")]


def check(options: argparse.Namespace) -> None:
    """Raises InvalidInputError for files or folders that are not there, and what belongs to training without it."""
    for given in (*map(Path, options.files), options.train):
        if given is not None and not given.exists():
            raise InvalidInputError(f"{given} is not there; name a text file or a folder")
    for name in TRAINING:
        if getattr(options, name) is not None and not options.train:
            raise InvalidInputError(f"--{name} is for peers to train; name what they are to read with --train")
    if options.train and not options.models:
        raise InvalidInputError("--train without --models: name the folder that trained peers are kept in")
    if options.models and not options.train and not options.models.is_dir():
        raise InvalidInputError(f"--models {options.models} is no folder; name one that --train has filled")


def load(given: Path | None) -> TextModel:
    """The package's own text model for None."""
    return TextModel.load(given or checkpoints.path(SHIPPED))


def measure(text: TextModel, options: argparse.Namespace, progress: Watch) -> dict[str, Any]:
    """Train what is to be trained, then measure."""
    if options.train:
        corpus = kept(options.train)
        for rival in _rivals(text, options):
            options.models.mkdir(parents=True, exist_ok=True)
            rivals.train(rival, corpus.tokens, options.models, " ".join(sys.argv), _report(rival, progress))
    return losses(text, options.files, options.models, options.sizes, progress)


def _rivals(text: TextModel, options: argparse.Namespace) -> list[rivals.Rival]:
    parameters = sum(each.numel() for each in text.model.parameters())
    of = text.vocabulary.size, parameters, WINDOW, DEPTH
    given = {name: getattr(options, name) or usual for name, usual in TRAINING.items()}
    return [rivals.Rival(name, *of, seed, given["tokens"]) for name in given["peers"] for seed in given["seed"]]


def _report(rival: rivals.Rival, progress: Watch) -> Callable[[dict[str, Any]], None]:
    return lambda line: progress(f"training {rival.name}, seed {rival.seed}", line["tokens"] / rival.tokens)


@dataclass(frozen=True)
class Row:
    """A model's mean loss by tokens of memory, of its own text and of another's. bytes: of the longest memory."""

    name: str
    parameters: int
    own: dict[int, float]
    shuffled: dict[int, float]
    bytes: int


def losses(
    text: TextModel, paths: Sequence[str], models: Path | None, sizes: Sequence[int], progress: Watch
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
    parameters = sum(each.numel() for each in peer.parameters())
    means, others = ({size: each.nats for size, each in told.items()} for told in (own, other))
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
        for kind, told in (("own text", row["own"]), ("another", row["shuffled"])):
            cells = [f"{told[size]:.3f}" if size in told else "" for size in sizes]
            falls = f"{told[sizes[0]] - told[sizes[-1]]:+.3f}" if sizes[0] in told else ""
            lines.append(f"| {row['name']} | {kind} | {' | '.join(cells)} | {falls} | {row['bytes']:,} |")
    return "\n".join(lines) + "\n"


def draw(results: Mapping[str, Any]) -> dict[str, Any]:
    return {"loss-memory.png": charts.by_memory(results)}
