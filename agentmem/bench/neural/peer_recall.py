"""Peers on the recall task: trained as ours are, on streams that grow longer, and asked long after.

Knows a peer's interface and the recall task. Knows nothing of optimizers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F

from agentmem.bench.neural.peers import Peer
from agentmem.neural.measure import CHUNK, TOGETHER
from agentmem.neural.task_training import QUESTIONS, answering, batch
from agentmem.neural.tasks.key_value import RecallTask, questions
from agentmem.neural.tasks.task import exact
from agentmem.neural.train import Step

HORIZONS = (203, 403)
"""Before the task's own."""
UNTIL = 0.7


@dataclass(frozen=True)
class PeerRecallTraining:
    """First at 200 tokens, then 400, then at the task's horizon with its density.

    A horizon is left when 70 % of the running answers are exact, or when its equal share of the budget is over. The
    loss is cross entropy at the answers, plus `everything` times that at all tokens, plus the peer's own.
    tokens: per batch, about.
    """

    task: RecallTask
    tokens: int = 8_000
    everything: float = 0.1

    @cached_property
    def stages(self) -> tuple[RecallTask, ...]:
        task, shorter = self.task, [horizon for horizon in HORIZONS if horizon < self.task.horizon]
        dense = [max(1, task.facts * horizon // task.horizon) for horizon in shorter]
        return (*(replace(task, horizon=h, facts=facts) for h, facts in zip(shorter, dense, strict=True)), task)

    def step(self, model: Peer, stage: int, generator: torch.Generator) -> Step:
        """The losses of one batch, and the share of its questions that are answered exactly."""
        task = self.stages[stage]
        streams = max(8, self.tokens // (task.horizon + 100))
        told = batch(task, streams, QUESTIONS, generator)
        logits, state = model.step(told.tokens, model.start(streams))
        answered = F.log_softmax(logits[:, task.horizon :].float(), -1)
        everywhere = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), told.tokens[:, 1:].flatten())
        losses = {
            "next_token": answering(answered, told.asked),
            "everywhere": self.everything * everywhere,
            "extra": model.extra_loss(state),
        }
        return Step(losses, float(exact(answered, told.asked).float().mean()), told.tokens.numel())

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        """Whether to go on to the next horizon."""
        return stage + 1 < len(self.stages) and (right > UNTIL or done > (stage + 1) / len(self.stages))


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
    """Let it read a fresh stream of the task, then ask `ask` questions, or as many as there are facts to ask for: those
    that `recalled` asks of the same task and seed. Ten at a time, each ten after the stream.
    """
    peer.eval()
    generator = torch.Generator().manual_seed(seed)
    stream, facts = task.stream(1, generator)
    began = time.process_time()
    state = peer.start(1)
    for chunk in stream.split(CHUNK, 1):
        state = peer.step(chunk, state)[1]
    writing = time.process_time() - began
    asked = questions(facts, min(ask, int(facts.latest.sum())), generator)
    began = time.process_time()
    right = torch.cat([exact(peer.ask(each.tokens, state), each).flatten() for each in asked.split(TOGETHER)])
    reading = time.process_time() - began
    held = peer.memory_bytes(state)
    return PeerRecalled(
        tokens=task.horizon,
        facts=task.facts,
        asked=len(right),
        exact=float(right.double().mean()),
        memory_bytes=held,
        bytes_per_token=held / task.horizon,
        write_us_per_token=writing / task.horizon * 1e6,
        read_us_per_token=reading / asked.tokens.shape[1] * 1e6,
    )
