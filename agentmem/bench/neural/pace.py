"""Tokens per processor-second of training, of each peer, in float32 and in bfloat16.

    python -m agentmem.bench.neural.pace [--parameters N] [--vocabulary N] [--window N] [--seconds N] [NAME...]

Random tokens, 16 streams x 512, four batches to a stream, one thread. Knows peers; measures nothing of what they learn.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import torch
from torch import Tensor

from agentmem.bench.arguments import positive
from agentmem.bench.neural.peers import PEERS, build
from agentmem.bench.neural.text import TextSettings, fit_text

STREAMS, LENGTH, TOGETHER = 16, 512, 4


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m agentmem.bench.neural.pace", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=", ".join(PEERS))
    for name, usual in (("parameters", 600_000), ("vocabulary", 2_048), ("window", 128), ("seconds", 20)):
        parser.add_argument(f"--{name}", type=positive, default=usual)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| peer | float32, tokens per CPU-s | bfloat16 |\n|---|---|---|")
    for name in given.names or [name for name, entry in PEERS.items() if find_spec(entry.module.split(".")[0])]:
        cells = [_cell(name, given, bfloat16) for bfloat16 in (False, True)]
        print(f"| {name} | {cells[0]} | {cells[1]} |", flush=True)


def _cell(name: str, given: argparse.Namespace, bfloat16: bool) -> str:
    torch.manual_seed(0)
    peer = build(name, given.vocabulary, given.parameters, given.window)
    if bfloat16 and not peer.takes_bfloat16:
        return "-"
    settings = TextSettings(tokens=10**9, bfloat16=bfloat16, warmup=10**6)
    warm = fit_text(peer, _batches(given.vocabulary, 1), settings)
    number = max(TOGETHER, round(given.seconds / warm.seconds / TOGETHER) * TOGETHER)
    done = fit_text(peer, _batches(given.vocabulary, number), settings)
    return f"{done.tokens / done.seconds:,.0f}"


def _batches(vocabulary: int, number: int) -> Iterator[tuple[Tensor, bool]]:
    generator = torch.Generator().manual_seed(0)
    for i in range(number):
        yield torch.randint(vocabulary, (STREAMS, LENGTH + 1), generator=generator), i % TOGETHER == 0


if __name__ == "__main__":
    main()
