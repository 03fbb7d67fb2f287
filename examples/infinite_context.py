"""Infinite context: a small model reads a million tokens on a laptop, and is asked for what it read first.

    python examples/infinite_context.py --tokens 1000000 --facts 10000 --seed 0

It keeps 100 bytes of every 100 tokens, 1,000,000 bytes at most, and never attends to more than the newest 50. Each fact
is told once, among filler of the same symbols; chance is 1 in 4,096. Times and progress go to standard error; Ctrl-C
stops it.

Prints:

    Read 1,000,000 tokens, 10,000 facts among them, 100 in the first 10,000 tokens.
    Kept 999,900 bytes of atoms, 1,213,140 bytes in all.
    Recalled from the first 10,000 tokens: 99 of 100
    Recalled from all over: 499 of 500
"""

import argparse
import time
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from rich.console import Console
from rich.progress import track

from agentmem.errors import MissingExtraError

try:
    from agentmem.neural import TokenModel, checkpoints
except MissingExtraError as error:
    raise SystemExit(str(error)) from None

import torch

from agentmem.neural.measure import bytes_of
from agentmem.neural.tasks import RecallTask, exact
from agentmem.neural.tasks.key_value import LENGTH, Facts
from agentmem.neural.tasks.layout import KEY
from agentmem.neural.tasks.task import SYMBOLS
from agentmem.neural.transformer import State

CHUNK = 10_000  # tokens read at once, and what counts as the beginning
ASKED = 500
EVERY = 100  # tokens to a fact, where --facts does not say
MOST = 1_600_000_000
remarks = Console(stderr=True, highlight=False)


def waiting(parts: Sequence[Any], doing: str) -> Iterable[Any]:
    """The same parts, with a progress bar on a terminal."""
    return track(parts, doing, console=remarks, transient=True, disable=not remarks.is_terminal)


def read(model: TokenModel, stream: torch.Tensor) -> tuple[State, list[tuple[int, float]]]:
    """The state after a stream, and of each chunk of it the tokens and the seconds of processor time they took."""
    state, took = model.transformer.start(1), []
    for chunk in waiting(stream.split(CHUNK, 1), "reading"):
        began = time.process_time()
        state = model.remember(chunk, state)
        took.append((chunk.shape[1], time.process_time() - began))
    return state, took


def recalled(model: TokenModel, state: State, task: RecallTask, facts: Facts, asking: str) -> str:
    """How many of these facts are recalled, both symbols right; at most ASKED of them, chosen at random."""
    questions = task.questions(facts, min(ASKED, facts.at.shape[1]), torch.Generator().manual_seed(1))
    view, right = state.memory.view(), 0
    for some in waiting(questions.split(10), asking):
        right += int(exact(model.ask(some.tokens, state, view), some).sum())
    return f"{right} of {questions.at.shape[1]}"


def run(task: RecallTask, seed: int) -> list[tuple[int, float]]:
    """Read a stream of the task, and say what is recalled of it. Gives what `read` tells of times."""
    stream, facts = task.stream(1, torch.Generator().manual_seed(seed))
    model = TokenModel.load(checkpoints.path("recall")).eval()
    state, took = read(model, stream)
    beginning = min(CHUNK, task.horizon)
    early = int((facts.at < beginning).sum())
    first = Facts(**{each.name: getattr(facts, each.name)[:, :early] for each in fields(Facts)})
    print(f"Read {task.horizon:,} tokens, {task.facts:,} facts among them,", end=" ")
    print(f"{early} in the first {beginning:,} tokens.")
    print(f"Kept {state.memory.atom_bytes:,} bytes of atoms, {bytes_of(state):,} bytes in all.")
    print(f"Recalled from the first {beginning:,} tokens:", recalled(model, state, task, first, "asking for the first"))
    print("Recalled from all over:", recalled(model, state, task, facts, "asking for any"))
    return took


parser = argparse.ArgumentParser(description="Stream tokens through a model with a memory, then ask for facts.")
parser.add_argument("--tokens", type=int, default=1_000_000, help="of the stream; 1000000")
parser.add_argument("--facts", type=int, help="told in it, one in every 10,000 tokens at least; one in 100")
parser.add_argument("--seed", type=int, default=0, help="of the stream; 0")
options = parser.parse_args()
if options.tokens < LENGTH:
    parser.error(f"--tokens {options.tokens}: a fact has {LENGTH}; give so many or more")
if options.tokens > MOST:
    parser.error(f"--tokens {options.tokens}: a memory numbers {MOST:,}; give so many or fewer")
if not 0 <= options.seed < 2**63:
    parser.error(f"--seed {options.seed}: give a whole number from 0 to 2 ** 63 - 1")
most = min(SYMBOLS**KEY, options.tokens // LENGTH)  # as many keys are there, and as much room
told = min(most, max(1, options.tokens // EVERY)) if options.facts is None else options.facts
if told * CHUNK < options.tokens:
    parser.error(f"--facts {told}: give {-(-options.tokens // CHUNK):,} or more, one in every {CHUNK:,} tokens")
if told > most:
    parser.error(f"--facts {told}: {options.tokens:,} tokens have no more than {most:,}; give so many or fewer")

torch.set_num_threads(1)  # a model this small is no quicker with more
try:
    with torch.inference_mode():
        took = run(RecallTask(options.tokens, told), options.seed)
except KeyboardInterrupt:
    remarks.print("stopped by Ctrl-C")
    raise SystemExit(130) from None

part = max(1, min(10, len(took) // 10))  # 100,000 tokens, or a tenth
for name, chunks in (("first", took[:part]), ("last", took[-part:])):
    tokens, seconds = map(sum, zip(*chunks, strict=True))
    remarks.print(f"The {name} {tokens:,} tokens took {seconds / tokens * 1e6:.1f} us of processor time each.")
