"""Peers on the recall task: trained as ours are, on streams that grow longer, and asked long after.

Knows a peer's interface and the recall task. Time is processor time, so a busy machine trains no less.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from agentmem.bench.neural.peers import Peer
from agentmem.neural.task_training import answering, batch
from agentmem.neural.tasks.key_value import RecallTask
from agentmem.neural.tasks.task import exact
from agentmem.neural.train import Progress

QUESTIONS = 10
HORIZONS = (203, 403)
"""Before the task's own."""
UNTIL = 0.7
CHUNK = 10_000


@dataclass(frozen=True)
class RecallSettings:
    """As agentmem.neural.train.TrainSettings. everything: weight of the loss at all tokens beside that at answers."""

    seed: int = 0
    seconds: float = 300.0
    tokens: int = 8_000
    learning_rate: float = 3e-3
    warmup: int = 50
    everything: float = 0.1
    report_every: int = 25


def fit_recall(
    peer: Peer,
    task: RecallTask,
    settings: RecallSettings | None = None,
    report: Callable[[dict[str, Any]], None] = lambda line: None,
) -> Progress:
    """Train for so many processor-seconds: first at 200 tokens, then 400, then at the task's horizon with its density.

    A horizon is left when 70 % of the running answers are exact, or its equal share of the seconds is over. The loss is
    cross entropy at the answers, plus a tenth of that at all tokens, plus the peer's own.
    """
    settings = settings or RecallSettings()
    generator = torch.Generator().manual_seed(settings.seed)
    model = cast(nn.Module, peer)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    tasks, progress, entered = _stages(task), Progress(), 0.0
    while progress.seconds < settings.seconds:
        began = time.process_time()
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(settings, progress)
        metrics = _one_step(peer, tasks[progress.stage], settings, generator, optimizer)
        spent = progress.seconds + time.process_time() - began
        running = 0.95 * progress.exact + 0.05 * metrics["exact_now"]
        progress = replace(progress, step=progress.step + 1, seconds=spent, exact=running)
        if progress.step % settings.report_every == 0:
            horizon = tasks[progress.stage].horizon
            report({**asdict(progress), "horizon": horizon, "left": settings.seconds - spent, **metrics})
        over = spent - entered > settings.seconds / len(tasks)
        if progress.stage + 1 < len(tasks) and (running > UNTIL or over):
            progress, entered = replace(progress, stage=progress.stage + 1, exact=running / 2), spent
    return progress


def _stages(task: RecallTask) -> list[RecallTask]:
    shorter = [horizon for horizon in HORIZONS if horizon < task.horizon]
    return [*(replace(task, horizon=each, facts=max(1, task.facts * each // task.horizon)) for each in shorter), task]


def _learning_rate(settings: RecallSettings, progress: Progress) -> float:
    warm = min(1.0, (progress.step + 1) / settings.warmup)
    return settings.learning_rate * warm * max(0.05, 1 - progress.seconds / settings.seconds)


def _one_step(
    peer: Peer, task: RecallTask, settings: RecallSettings, generator: torch.Generator, optimizer: torch.optim.Optimizer
) -> dict[str, float]:
    streams = max(8, settings.tokens // (task.horizon + 100))
    told = batch(task, streams, QUESTIONS, generator)
    tokens, asked = told.tokens, told.asked
    logits, state = peer.step(tokens, peer.start(streams))
    answered = F.log_softmax(logits[:, task.horizon :].float(), -1)
    loss = answering(answered, asked)
    everywhere = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten())
    total = loss + settings.everything * everywhere + peer.extra_loss(state)
    optimizer.zero_grad()
    total.backward()  # type: ignore[no-untyped-call, unused-ignore]
    torch.nn.utils.clip_grad_norm_(cast(nn.Module, peer).parameters(), 1.0)
    optimizer.step()
    right = float(exact(answered, asked).float().mean())
    return {"exact_now": right, "next_token": float(loss.detach()), "everywhere": float(everywhere.detach())}


@dataclass(frozen=True)
class PeerRecalled:
    """exact: share of `asked` questions whose two symbols are both right. memory_bytes: of the whole state after the
    stream. Costs are of processor time in microseconds: of reading the stream, and of the tokens of questions.
    """

    tokens: int
    facts: int
    asked: int
    exact: float
    memory_bytes: int
    bytes_per_token: float
    write_us_per_token: float
    read_us_per_token: float


@torch.no_grad()
def peer_recalled(peer: Peer, task: RecallTask, ask: int = 200, seed: int = 0) -> PeerRecalled:
    """Let it read a fresh stream of the task, then ask `ask` questions, ten at a time, each ten after the stream."""
    cast(nn.Module, peer).eval()
    generator = torch.Generator().manual_seed(seed)
    stream, facts = task.stream(1, generator)
    began = time.process_time()
    state = peer.start(1)
    for chunk in stream.split(CHUNK, 1):
        state = peer.step(chunk, state)[1]
    middle = time.process_time()
    each = min(QUESTIONS, task.askable)
    asked = [task.questions(facts, each, generator) for _ in range(-(-ask // each))]
    right = torch.cat([exact(peer.ask(each.tokens, state), each).flatten() for each in asked])
    spent = time.process_time() - middle
    held = peer.memory_bytes(state)
    return PeerRecalled(
        tokens=task.horizon,
        facts=task.facts,
        asked=len(right),
        exact=float(right.float().mean()),
        memory_bytes=held,
        bytes_per_token=held / task.horizon,
        write_us_per_token=(middle - began) / task.horizon * 1e6,
        read_us_per_token=spent / sum(each.tokens.shape[1] for each in asked) * 1e6,
    )
