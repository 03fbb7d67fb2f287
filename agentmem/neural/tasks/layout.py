"""Filler, keys, and where spans stand: what the symbol tasks are laid out with.

Knows symbols and positions. Knows nothing of what a span means.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.tasks.task import NOW, SYMBOLS, Questions

KEY = 3  # symbols of a key


def filler(streams: int, tokens: int, generator: torch.Generator) -> Tensor:
    """Symbols [streams, tokens], the frequent ones far more often (Zipf's law)."""
    frequency = 1 / (torch.arange(SYMBOLS) + 3.0)
    return torch.multinomial(frequency, streams * tokens, replacement=True, generator=generator).view(streams, tokens)


def distinct_keys(streams: int, number: int, near: float, generator: torch.Generator) -> Tensor:
    """Different keys [streams, number, 3]; with probability `near` all of a small cube of symbols, so they collide.

    Raises InvalidInputError for more than there are.
    """
    needed = streams * number
    small = torch.rand((), generator=generator) < near
    side = min(SYMBOLS, max(2, int((1.5 * needed) ** (1 / KEY)) + 1)) if small else SYMBOLS
    if side**KEY < needed:
        raise InvalidInputError(f"{streams:,} streams of {number:,} keys: there are {side**KEY:,} keys; ask for fewer")
    cube = torch.stack([torch.randperm(SYMBOLS, generator=generator)[:side] for _ in range(KEY)])
    corners = torch.randperm(side**KEY, generator=generator)[:needed].view(streams, -1)
    places = torch.stack([corners // side**power % side for power in (2, 1, 0)], -1)
    return torch.stack([cube[i][places[..., i]] for i in range(KEY)], -1)


def check_fits(number: int, what: str, length: int, horizon: int) -> None:
    """Raises InvalidInputError unless `number` >= 1 spans of `length` tokens have room of their own in `horizon`."""
    if number < 1 or horizon // number < length:
        raise InvalidInputError(
            f"{number:,} {what} of {length} tokens do not fit evenly into a horizon of {horizon:,} tokens; "
            f"at least one, and a horizon of {max(1, number) * length:,} or more, are needed"
        )


def check_share(name: str, share: float) -> None:
    """Raises InvalidInputError unless 0 <= share <= 1."""
    if not 0 <= share <= 1:
        raise InvalidInputError(f"{name}={share}: a share between 0 and 1 is needed")


def spread(streams: int, number: int, length: int, horizon: int, generator: torch.Generator) -> Tensor:
    """Where spans of `length` tokens stand, [streams, number], ascending: each in an equal part of its own."""
    room = horizon // number
    offsets = torch.randint(room - length + 1, (streams, number), generator=generator)
    return torch.arange(number) * room + offsets


def shuffled(at: Tensor, generator: torch.Generator) -> Tensor:
    """Positions [B, n] in another order in each row."""
    return at.gather(1, torch.rand(at.shape, generator=generator).argsort(1))


def put(tokens: Tensor, at: Tensor, spans: Tensor) -> Tensor:
    """Tokens [B, T] with spans [B, n, length] written over them from positions at [B, n]; -1: not written."""
    length = spans.shape[-1]
    beyond = at.where(at >= 0, tokens.shape[1])
    places = beyond[..., None] + torch.arange(length)
    room = torch.cat((tokens, tokens.new_zeros(len(tokens), length)), 1)
    return room.scatter(1, places.flatten(1), spans.flatten(1))[:, : tokens.shape[1]]


def drawn(allowed: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Indices [B, number] where allowed, bool [B, n], is true; none twice if every row has enough."""
    few = int(allowed.sum(1).min()) < number
    return torch.multinomial(allowed.float(), number, replacement=few, generator=generator)


def marked(marker: int, *parts: Tensor) -> Tensor:
    """Spans [..., 1 + lengths] of a marker and then parts [..., length]."""
    return torch.cat((torch.full((*parts[0].shape[:-1], 1), marker), *parts), -1)


def others(same: Tensor, at: Tensor) -> Tensor:
    """Positions at [B, n] where same, bool [B, Q, n], is true: [B, Q, S], -1 where there are fewer."""
    return at[:, None].where(same, -1).topk(int(same.sum(-1).max()), -1).values


def asked(
    said: Tensor, answers: Tensor, evidence: Tensor, generator: torch.Generator, every: int, step: int = 0
) -> Questions:
    """Questions said [B, Q, length] and then answers [B, Q, n], each somewhere in `every` tokens of filler.

    evidence: [B, Q, E]; the next of it is needed `step` tokens later.
    """
    spans = torch.cat((said, answers), -1)
    streams, number, length = spans.shape
    start = spread(streams, number, length, number * every, generator)
    at = start + said.shape[-1] - 1
    reads = at[..., None] + step * torch.arange(evidence.shape[-1])
    tokens = put(filler(streams, number * every, generator), start, spans)
    none = evidence.new_empty(streams, number, 0)
    return Questions(tokens, at, answers, evidence, reads, none, torch.full_like(at, NOW))
