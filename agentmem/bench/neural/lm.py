"""`agentmem bench neural lm FILE...`: what a language model gains from remembering a text, and beside which peers.

Knows trained models, documents and a cache of pairs. Knows nothing of training, see `rivals`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from agentmem.bench.arguments import goes_on
from agentmem.bench.neural import charts, rivals
from agentmem.bench.neural.checkpoint import Measured
from agentmem.bench.neural.pairs import Pairs, fitted, mixed
from agentmem.bench.neural.peer_text import LAST, WARM, TextLoss, text_loss
from agentmem.bench.neural.peers import Crystal, Peer
from agentmem.bench.neural.rivals import Entrant
from agentmem.bench.recall.tables import table, wrapped
from agentmem.errors import InvalidInputError
from agentmem.neural import checkpoints
from agentmem.neural.corpus import kept
from agentmem.neural.measure import Watch
from agentmem.neural.text import documents
from agentmem.neural.text_model import TextModel

SHIPPED = "text"
OWN = checkpoints.HERE / "rivals"
"""Peers of that model; they are kept with the source and are not installed."""
CACHED = ("ours", "windowed")  # those that a cache of pairs is put beside
BLIND = "ours, reading nothing"
GAINS = {"falls": "falls by", "over": "own over another's"}
SLOTS = ("null", "units", "clusters", "atoms")
"""What a reading is of, in the order of `Output.read`."""
STEP = 128  # tokens after which the cache of pairs takes them up
WINDOW, DEPTH = 128, 4  # of every peer, as of our own model
TRAINING: dict[str, Any] = {"peers": ["windowed"], "tokens": 3_000_000, "seed": [0]}
"""What is trained by default."""


def check(options: argparse.Namespace) -> None:
    """Raises InvalidInputError for files or folders that are not there, a file that is named twice, and what belongs to
    training without it.
    """
    _check_once(options.files)
    for given in map(Path, options.files):
        if not given.exists():
            raise InvalidInputError(f"{given} is not there; name a text file or a folder")
    if options.train and not options.train.is_dir():
        raise InvalidInputError(
            f"--train {options.train} is no folder; name one that `agentmem train neural text` made, by its --out"
        )
    for name in TRAINING:
        if getattr(options, name) is not None and not options.train:
            raise InvalidInputError(f"--{name} is for peers to train; name what they are to read with --train")
    if options.train and not options.models:
        raise InvalidInputError("--train without --models: name the folder that trained peers are kept in")
    if options.models and not options.train and not options.models.is_dir():
        raise InvalidInputError(f"--models {options.models} is no folder; name one that --train has filled")


def _check_once(paths: Sequence[str]) -> None:
    """A document would else be the other one that it is compared with."""
    named: dict[Path, str] = {}
    for path in paths:
        if before := named.get(Path(path).resolve()):
            twice = f"{path} is named twice" if path == before else f"{path} is {before}, which is named already"
            raise InvalidInputError(f"{twice}; name every document once, and another one to compare it with")
        named[Path(path).resolve()] = path


def load(given: Path | None) -> tuple[Entrant, TextModel]:
    """The package's own text model for None."""
    return rivals.ours(given or checkpoints.path(SHIPPED))


def measure(model: tuple[Entrant, TextModel], options: argparse.Namespace, progress: Watch) -> dict[str, Any]:
    """Train what is to be trained, then measure. What does not fit is refused before anything is trained."""
    own, text = model
    tokens = long_enough(text, options.files, max(options.sizes))
    if options.train:
        _train(text, options, progress)
    settings = Measured(text.model, own.file, own.command).settings()
    return {"settings": settings} | losses(own, text, tokens, options.models or _own(options), options.sizes, progress)


def _train(text: TextModel, options: argparse.Namespace, progress: Watch) -> None:
    corpus, wanted = kept(options.train), _rivals(text, options)
    there, own = corpus.vocabulary.digest, text.vocabulary.digest
    if there != own:
        raise InvalidInputError(
            f"--train {options.train} has vocabulary {there}, and the model has {own}: name the folder that the model "
            "was trained in, or with --checkpoint the model of this one"
        )
    for rival in wanted:
        rival.build()  # where its package is missing that is told now
    options.models.mkdir(parents=True, exist_ok=True)
    with goes_on(options.models):
        for rival in wanted:
            rivals.train(rival, corpus, options.models, " ".join(sys.argv), _report(rival, progress))


def _own(options: argparse.Namespace) -> Path | None:
    """The peers of the package's own model."""
    return OWN if OWN.is_dir() and options.checkpoint is None else None


def _rivals(text: TextModel, options: argparse.Namespace) -> list[rivals.Rival]:
    parameters = sum(each.numel() for each in text.model.parameters())
    of = text.vocabulary.size, parameters, WINDOW, DEPTH
    given = {name: getattr(options, name) or usual for name, usual in TRAINING.items()}
    return [rivals.Rival(name, *of, seed, given["tokens"]) for name in given["peers"] for seed in given["seed"]]


def _report(rival: rivals.Rival, progress: Watch) -> Callable[[dict[str, Any]], None]:
    return lambda line: progress(f"training {rival.name}, seed {rival.seed}", line["tokens"] / rival.tokens)


Figure = tuple[float, float]
"""Mean and deviation."""
Told = Mapping[Any, Figure]
"""By tokens of memory or by name."""


@dataclass(frozen=True)
class Row:
    """A model's mean loss by tokens of memory, of its own text and of another's. trained_on, seed: tokens and seed of
    its training, as an Entrant has them. bytes: of a stream that read the longest memory and what is judged; of pairs,
    the memory alone. read: the share of the null slot and of each layer in a reading of what is judged, after the
    longest memory; of ours.
    """

    name: str
    trained_on: int
    seed: int
    parameters: int
    own: dict[int, float]
    shuffled: dict[int, float]
    bytes: int
    read: dict[str, float]


def losses(
    own: Entrant, text: TextModel, tokens: list[Tensor], models: Path | None, sizes: Sequence[int], progress: Watch
) -> dict[str, Any]:
    """Rows of ours and every model in the folder, some also with a cache of pairs of a byte a token beside them.

    tokens: of each document, int64 [n]; one alone has no other to be compared with, nor one to fit a cache on. Where
    ours is in the folder too, it is measured once.
    """
    others, missing = rivals.trained(models, text.vocabulary) if models else ([], [])
    others = [each for each in others if each.file.resolve() != own.file.resolve()]
    rows: list[Row] = []
    for each in [own, *others]:
        seen: list[Tensor] = []
        told, shuffled = _told(each, tokens, sizes, seen, progress)
        rows.append(replace(_row(each, told, shuffled), read=_shares(seen)))
        if each.name in CACHED and len(tokens) > 1:
            rows.append(_with_pairs(rows[-1], tokens, text.vocabulary.size, told, shuffled))
    for each in [own, *others] if 0 in sizes else ():
        if isinstance(each.peer, Crystal):
            unread = {0: text_loss(Crystal(each.peer.model, layers=()), tokens, 0)}
            rows.append(_row(replace(each, name=BLIND), unread, {}))
    about = {"documents": len(tokens), "judged": LAST, "sizes": list(sizes), "left_out": missing}
    about["no_other_in"] = str(models) if models and not others and not missing else None
    return {**about, "rows": [vars(row) for row in rows], "means": list(_means(rows))}


def _told(
    of: Entrant, tokens: list[Tensor], sizes: Sequence[int], seen: list[Tensor], progress: Watch
) -> tuple[dict[int, TextLoss], dict[int, TextLoss]]:
    """Losses by tokens of memory, of its own text and of another's. seen: gets what ours reads after the longest."""
    doing = f"{of.name}, {of.tokens:,} tokens, seed {of.seed}"
    told: tuple[dict[int, TextLoss], dict[int, TextLoss]] = {}, {}
    asked = [(size, other) for size in sizes for other in ((False, True) if size and len(tokens) > 1 else (False,))]
    for number, (size, other) in enumerate(asked):
        progress(doing, number / len(asked))
        peer = of.peer if other or size < max(sizes) else _watched(of.peer, seen)
        told[other][size] = text_loss(peer, tokens, size, shuffled=other)
    progress(doing, 1.0)
    return told


def _watched(peer: Peer, seen: list[Tensor]) -> Peer:
    """Ours, adding to seen what each step reads; another peer as it is."""
    if not isinstance(peer, Crystal):
        return peer
    return Crystal(peer.model, peer.layers, lambda output: seen.append(output.read))


def _shares(seen: Sequence[Tensor]) -> dict[str, float]:
    """By name, of all steps together: the means of what was read for tokens that are judged."""
    if not seen:
        return {}
    return dict(zip(SLOTS, torch.cat(list(seen), 1)[:, WARM:].double().mean((0, 1)).tolist(), strict=True))


def _means(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Over seeds: of each model and amount of training, losses, gains and what is read as means, with standard
    deviations where there are several.
    """
    for name, trained_on in dict.fromkeys((row.name, row.trained_on) for row in rows):
        same = [row for row in rows if (row.name, row.trained_on) == (name, trained_on)]
        about = {"name": name, "trained_on": trained_on, "seeds": len(same), "bytes": same[0].bytes}
        losses = {kind: _pooled([getattr(row, kind) for row in same]) for kind in ("own", "shuffled", "read")}
        yield about | losses | {"gains": _pooled([_gains(row) for row in same])}


def _gains(row: Row) -> dict[str, float]:
    """Nats. falls: from the least memory of its own text to the longest; over: by which the longest beats another's."""
    least, longest = min(row.own), max(row.own)
    falls = {"falls": row.own[least] - row.own[longest]} if least < longest else {}
    return falls | ({"over": row.shuffled[longest] - row.own[longest]} if longest in row.shuffled else {})


def _pooled(told: Sequence[Mapping[Any, float]]) -> Told:
    by_key = {key: [each[key] for each in told] for key in told[0]}
    return {key: (mean(each), stdev(each) if len(each) > 1 else 0.0) for key, each in by_key.items()}


def long_enough(text: TextModel, paths: Sequence[str], memory: int) -> list[Tensor]:
    """Tokens of the documents that have enough for a memory of that size. Raises InvalidInputError for fewer than two,
    or for none where a single one is given.
    """
    needed = memory + WARM + LAST + 1
    read = {each.name: text.tokens(each.text)[0] for each in documents(paths)}
    kept = [tokens for tokens in read.values() if len(tokens) >= needed]
    if len(kept) < min(2, len(read)):
        short = [f"{name} has {len(each):,}" for name, each in read.items() if len(each) < needed]
        wanted = "two that have, that one alone" if kept else "two that have" if len(read) > 1 else "one that has"
        raise InvalidInputError(
            f"{len(kept)} of {len(read)} documents have {needed:,} tokens ({'; '.join(short[:3])}); "
            f"give {wanted}, or smaller --sizes: a memory of N takes N + {needed - memory:,}"
        )
    return kept


def _row(of: Entrant, own: Mapping[int, TextLoss], other: Mapping[int, TextLoss]) -> Row:
    means, others = ({size: each.nats for size, each in told.items()} for told in (own, other))
    parameters = sum(each.numel() for each in of.peer.parameters())
    return Row(of.name, of.tokens, of.seed, parameters, means, others, own[max(own)].memory_bytes, {})


def _with_pairs(
    row: Row, tokens: list[Tensor], vocabulary: int, own: Mapping[int, TextLoss], other: Mapping[int, TextLoss]
) -> Row:
    """A model with the cache beside it. Its weights for a document are those that serve the other documents best."""
    shifted = [*tokens[1:], tokens[0]]
    ours = {size: _cached(each, tokens, tokens, size, vocabulary) for size, each in own.items()}
    others = {size: _cached(each, tokens, shifted, size, vocabulary) for size, each in other.items()}
    held = Pairs(vocabulary)
    held.remember(tokens[0][: max(own)])
    return replace(row, name=f"{row.name} + pairs", own=ours, shuffled=others, bytes=row.bytes + held.bytes, read={})


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
    number, judged = results["documents"], results["judged"]
    about = wrapped(
        f"Nats a token on the last {judged:,} tokens of {number} documents, after so many tokens of memory, of the "
        "same text or of another."
        if number > 1
        else f"Nats a token on the last {judged:,} tokens of a single document, after so many tokens of memory of the "
        "same text alone: there is no other to compare with, or to fit a cache of pairs on. Name two or more for that."
    )
    parts = ["# Language modelling with the neural memory", "", *about, "", *_table(results), *_read(results)]
    return "\n".join(parts) + "\n"


def _table(results: Mapping[str, Any]) -> list[str]:
    sizes = results["sizes"]
    told = [name for name in GAINS if any(name in row["gains"] for row in results["means"])]
    head = ["model", "trained on", "memory of", *map(charts.memory_size, sizes), *(GAINS[name] for name in told)]
    lines = [f"| {' | '.join([*head, 'bytes'])} |", f"|{'---|' * (len(head) + 1)}"]
    for row in results["means"]:
        lines.append(_line(row, "own text", row["own"], sizes, [row["gains"].get(name) for name in told]))
        if row["shuffled"]:
            lines.append(_line(row, "another", row["shuffled"], sizes, [None] * len(told)))
    said = [f"Left out: {each}" for each in results["left_out"]]
    if folder := results["no_other_in"]:
        said = [f"Ours alone: {folder} has no other model in it, a file of .safetensors."]
    return lines + (["", *said] if said else [])


def _line(row: Mapping[str, Any], memory: str, told: Told, sizes: Sequence[int], gains: Sequence[Figure | None]) -> str:
    cells = [_spread(*each) if each else "" for each in (*(told.get(size) for size in sizes), *gains)]
    return f"| {' | '.join(_named(row))} | {memory} | {' | '.join(cells)} | {row['bytes']:,} |"


def _read(results: Mapping[str, Any]) -> Iterator[str]:
    """A table: what a reading of ours is of."""
    size = charts.memory_size(max(results["sizes"]))
    yield from ("", f"## What a reading is of, after {size} tokens of memory", "")
    yield from table(
        ["model", "trained on", "null slot", *SLOTS[1:]],
        [[*_named(row), *(_spread(*row["read"][name]) for name in SLOTS)] for row in results["means"] if row["read"]],
    )
    yield ""
    yield from wrapped(
        "Shares of the weight, as means over readers, heads and the tokens that are judged. The null slot has what is "
        "read of nothing."
    )


def _named(row: Mapping[str, Any]) -> tuple[str, str]:
    seeds = f" x {row['seeds']}" if row["seeds"] > 1 else ""
    return row["name"], f"{charts.trained_on(row['trained_on'])}{seeds}"


def _spread(nats: float, deviation: float) -> str:
    return f"{nats:z.3f} ±{deviation:.3f}" if deviation else f"{nats:z.3f}"


def draw(results: Mapping[str, Any]) -> dict[str, Any]:
    return {"loss-memory.png": charts.by_memory(results)}
