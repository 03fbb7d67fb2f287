"""Peers of the neural memory: equal parameters, causal, the same in any steps, learning, and bytes as documented."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from typer.testing import CliRunner

from agentmem.bench.neural import options, rivals
from agentmem.bench.neural.peer_recall import PeerRecallTraining, peer_recalled
from agentmem.bench.neural.peer_text import PeerTextTraining, text_loss
from agentmem.bench.neural.peers import PEERS, Crystal, Peer, build
from agentmem.bench.neural.peers.peer import package, tensors
from agentmem.bench.neural.peers.sizes import count, nearest
from agentmem.bench.neural.recall import _shorter
from agentmem.cli import app
from agentmem.errors import InvalidInputError, MissingExtraError
from agentmem.neural.corpus import Corpus
from agentmem.neural.recalled import recalled
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.tasks.key_value import RecallTask
from agentmem.neural.text import Stretches, Vocabulary
from agentmem.neural.tokens import TokenModel, settings_of
from agentmem.neural.train import Trainer, TrainSettings

torch.set_num_threads(1)
VOCABULARY, WINDOW = 66, 16
INSTALLED = [name for name, entry in PEERS.items() if find_spec(entry.module.split(".")[0])]
RECURS = {"infini", "rmt", "block-recurrent", "mingru"}
"""Their memory is made of the memory before, and gradients flow through it."""
REACHES = {*RECURS, "compressive"}
"""Something of every token may be there for ever: Compressive's layers read what the layers above have kept."""
QUICK = {"windowed", "transformer-xl", "mingru"}
"""Attention to a window, attention to what is kept, and a recurrence; the others cost seconds each."""


def marks(name: str) -> list[pytest.MarkDecorator]:
    absent = [] if name in INSTALLED else [pytest.mark.skip("not installed")]
    return absent if name in QUICK else [*absent, pytest.mark.slow]


each_peer = pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in PEERS])


def peer(name: str) -> Any:
    return deepcopy(built(name))


@cache
def built(name: str) -> Any:
    torch.manual_seed(0)
    if name == "crystal":
        sizes = {"d_model": 32, "n_heads": 2, "lower": 1, "upper": 1, "window": WINDOW}
        return Crystal(TokenModel(settings_of(VOCABULARY, CrystalSettings(dimension=32), **sizes))).eval()
    return build(name, VOCABULARY, 100_000, WINDOW).eval()


def tokens(number: int, streams: int = 2, seed: int = 1) -> Tensor:
    return torch.randint(VOCABULARY, (streams, number), generator=torch.Generator().manual_seed(seed))


@cache
def read(name: str) -> tuple[Any, Tensor, Any]:
    """A peer, what it says of 150 tokens, and its state after them."""
    model = peer(name)
    with torch.no_grad():
        return model, *model.step(tokens(150), model.start(2))


any_model = pytest.mark.parametrize("name", [*each_peer.args[1], "crystal"])


@each_peer
@pytest.mark.parametrize(
    ("vocabulary", "parameters", "window"),
    [(66, 100_000, 16), pytest.param(2_048, 600_000, 128, marks=pytest.mark.slow)],
)
def test_parameters_are_equal_within_3_per_cent(name: str, vocabulary: int, parameters: int, window: int) -> None:
    model: Any = build(name, vocabulary, parameters, window)
    assert count(model) == pytest.approx(parameters, rel=0.03)


@any_model
def test_every_token_gets_a_prediction_that_does_not_depend_on_later_ones(name: str) -> None:
    model, said, _ = read(name)
    changed = tokens(150)
    changed[:, 70:] = (changed[:, 70:] + 1) % VOCABULARY
    with torch.no_grad():
        other = model.step(changed, model.start(2))[0]
    assert said.shape == (2, 150, VOCABULARY)
    torch.testing.assert_close(other[:, :70], said[:, :70], atol=1e-4, rtol=0)
    assert not torch.allclose(other[:, 70:], said[:, 70:], atol=1e-2)


@any_model
def test_a_stream_read_in_parts_is_the_stream_read_at_once(name: str) -> None:
    model, said, _ = read(name)
    state, parts = model.start(2), []
    with torch.no_grad():
        for part in tokens(150).split([32, 1, 40, 50, 27], 1):
            logits, state = model.step(part, state)
            parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, 1), said, atol=1e-3, rtol=0)


@any_model
def test_questions_do_not_change_the_stream(name: str) -> None:
    model, _, state = read(name)
    with torch.no_grad():
        first = model.ask(tokens(60, seed=2), state)
        model.ask(tokens(60, seed=3), state)
        torch.testing.assert_close(model.ask(tokens(60, seed=2), state), first)
    assert first.shape == (2, 60, VOCABULARY)


@each_peer
def test_what_was_read_beyond_all_windows_is_remembered_as_documented(name: str) -> None:
    model = peer(name)
    streams = tokens(1_040, streams=1).repeat(2, 1)
    streams[1, :400] = tokens(400, streams=1, seed=5)
    with torch.no_grad():
        state = model.step(streams, model.start(2))[1]
        said = model.ask(tokens(16, streams=1, seed=6).repeat(2, 1), state)
    differs = not torch.equal(said[0], said[1])
    if name == "memorizing":
        assert [int(store.db_offsets[0]) for store in state.kept.stores] == [1_040 - WINDOW]
    else:
        assert differs == (name in REACHES)


@each_peer
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = peer(name).train()
    for _ in range(2):  # one package switches gradients off in its first step
        model.zero_grad()
        stream = tokens(129)
        logits, state = model.step(stream[:, :-1], model.start(2))
        (F.cross_entropy(logits.flatten(0, 1), stream[:, 1:].flatten()) + model.extra_loss(state)).backward()
    wanting = {key for key, each in model.named_parameters() if each.grad is None or not each.grad.any()}
    assert {key for key in wanting if not key.endswith("rotary_emb.freqs")} == set()


@each_peer
def test_gradients_flow_through_the_memory_where_the_architecture_needs_it(name: str) -> None:
    model = peer(name).train()
    seen: list[Tensor] = []
    embedding = getattr(model, "embedding", None) or model.model.token_emb
    embedding.register_forward_hook(lambda module, inputs, output: seen.append(output) or output.retain_grad())
    logits, _ = model.step(tokens(64), model.start(2))
    logits[:, 48:].square().sum().backward()
    first = seen[0].grad
    assert (first is not None and bool(first[:, :WINDOW].any())) == (name in RECURS or name == "windowed")


@each_peer
def test_bytes_are_constant_save_where_all_is_kept(name: str) -> None:
    model, _, _ = read(name)
    held = []
    with torch.no_grad():
        state = model.start(2)
        for part in tokens(480).split(160, 1):
            state = model.step(part, state)[1]
            held.append(model.memory_bytes(state))
    if name == "memorizing":
        row = 2 * model.model.dim_head * 4
        assert held[2] - held[1] > 160 * row
    else:
        assert held[2] == held[1] == held[0] > 0


def test_bytes_are_those_of_the_tensors_per_stream() -> None:
    model, _, state = read("windowed")
    heads = sum(each.keys[0].nbytes + each.values[0].nbytes for each in state.caches)
    assert model.memory_bytes(state) == heads + state.convolution[0].nbytes
    ours, _, held = read("crystal")
    heads = sum(each.keys[0].nbytes + each.values[0].nbytes for each in (*held.lower, *held.upper))
    assert ours.memory_bytes(held) == held.memory.resident_bytes + heads + held.convolution[0].nbytes


@each_peer
@pytest.mark.slow
def test_a_small_batch_is_learned_by_heart(name: str) -> None:
    model = peer(name)
    batch = tokens(33)
    once = Stretches((batch[0].numpy().astype("uint16"),), 32)
    training = PeerTextTraining(once, streams=2, chunk=32)
    done = Trainer(model, training, TrainSettings(tokens=40 * 64, warmup=5, learning_rate=1e-2)).train()
    model.eval()
    with torch.no_grad():
        logits = model.step(batch[:1, :-1], model.start(1))[0]
    assert (done.step, done.tokens) == (40, 40 * 64)
    assert F.cross_entropy(logits.flatten(0, 1), batch[0, 1:]) < 2  # it starts at 4.2


@each_peer
def test_its_memory_goes_on_from_chunk_to_chunk_of_a_stretch_and_no_further(name: str) -> None:
    model, states, held = peer(name), [], []
    starts, steps = model.start, model.step
    model.start = lambda streams: states.append(streams) or starts(streams)
    model.step = lambda tokens, state: held.append(model.memory_bytes(state)) or steps(tokens, state)
    text = Stretches((tokens(500)[0].numpy().astype("uint16"),), 96)
    lines: list[dict[str, Any]] = []
    settings = TrainSettings(tokens=4 * 96, mixed=model.takes_bfloat16, report_every=1)
    Trainer(model, PeerTextTraining(text, streams=2, chunk=48), settings, lines.append).train()
    assert states == [2, 2]
    assert held[0] == held[2] < held[1] == held[3]
    assert all(0 < line["next_token"] < 6 for line in lines)


def test_a_training_that_was_stopped_goes_on_with_the_tokens_that_were_to_come(tmp_path: Path) -> None:
    text = Stretches((tokens(500)[0].numpy().astype("uint16"),), 96)

    def training(read: list[Tensor]) -> Trainer[Any]:
        model = peer("windowed")
        model.step = lambda given, state, step=model.step: read.append(given) or step(given, state)
        return Trainer(model, PeerTextTraining(text, streams=2, chunk=24), TrainSettings(tokens=10**6))

    whole: list[Tensor] = []
    training(whole).train(steps=7)
    parts: list[Tensor] = []
    first, second = training(parts), training(parts)
    first.train(steps=2)
    first.save(tmp_path / "training")
    second.load(tmp_path / "training")
    second.train(steps=5)
    assert [torch.equal(*pair) for pair in zip(parts, whole, strict=True)] == [True] * 7


@pytest.mark.parametrize(
    "name", ["windowed", *(pytest.param(name, marks=pytest.mark.slow) for name in ("infini", "rmt"))]
)
@pytest.mark.slow
def test_a_peer_that_was_trained_is_kept_and_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    vocabulary = Vocabulary.learned(["so it goes on and on, and nobody knows why"], 270)
    rival = rivals.Rival(name, vocabulary.size, 100_000, WINDOW, 3, seed=0, tokens=1)
    corpus = Corpus(vocabulary, (np.arange(13_000, dtype=np.uint16) % vocabulary.size,))
    rivals.train(rival, corpus, tmp_path, "a test")
    back, again = (rivals.trained(tmp_path, vocabulary)[0][0].peer.eval() for _ in range(2))
    said = [each.step(tokens(40), each.start(2))[0] for each in (back, again)]
    torch.testing.assert_close(said[0], said[1])
    untrained = rival.build().eval()
    assert not torch.allclose(said[0], untrained.step(tokens(40), untrained.start(2))[0], atol=1e-3)


@each_peer
def test_recall_is_trained_and_measured(name: str) -> None:
    model, lines = peer(name), []
    settings = TrainSettings(seconds=0.02, report_every=1)
    done = Trainer(model, PeerRecallTraining(RecallTask(100, 2), tokens=800), settings, lines.append).train()
    measured = peer_recalled(model, RecallTask(203, 2), ask=10, seed=1)
    assert done.step == len(lines) > 0
    assert {"exact", "stage", "left", "next_token", "everywhere"} <= set(lines[0])
    assert (measured.tokens, measured.facts, measured.asked) == (203, 2, 2)
    assert measured.exact == 0
    assert measured.bytes_per_token == measured.memory_bytes / 203 > 0
    assert min(measured.write_us_per_token, measured.read_us_per_token) > 0


def test_peers_and_ours_are_asked_the_same_and_no_fact_twice() -> None:
    theirs, ours, task = peer("windowed"), peer("crystal").model, RecallTask(403, 12)
    asked: tuple[list[Tensor], list[Tensor]] = [], []
    for model, heard in zip((theirs, ours), asked, strict=True):
        model.ask = lambda tokens, *rest, ask=model.ask, heard=heard: heard.append(tokens) or ask(tokens, *rest)
    assert peer_recalled(theirs, task, ask=200, seed=3).asked == recalled(ours, task, ask=200, seed=3).asked == 12
    assert [each.shape[1] for each in asked[0]] == [100, 20]
    assert all(torch.equal(*pair) for pair in zip(asked[0], asked[1][:2], strict=True))


class Seer(Peer):
    """Sees the next token of every one but the last."""

    def start(self, streams: int) -> Tensor:
        return torch.zeros(streams, 1)

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return 30.0 * F.one_hot(tokens.roll(-1, 1), VOCABULARY), state

    def _streams(self, state: Tensor) -> int:
        return len(state)


def test_a_peer_that_says_what_comes_next_is_exact_and_costs_nothing_in_training_and_when_asked() -> None:
    seer, task = Seer(WINDOW), RecallTask(203, 4)
    step = PeerRecallTraining(task, tokens=800).step(seer, 0, torch.Generator().manual_seed(0))
    assert step.right == 1.0
    assert step.losses["next_token"].item() == pytest.approx(0, abs=1e-6)
    assert step.losses["everywhere"].item() == pytest.approx(0, abs=1e-6)
    assert (peer_recalled(seer, task).exact, peer_recalled(seer, task).asked) == (1.0, 4)


def test_peers_are_trained_on_streams_as_dense_as_those_they_are_asked_of() -> None:
    shorter = [_shorter(RecallTask(*sizes)) for sizes in ((100_000, 1_000), (1_000_000, 100), (500, 20))]
    assert [(each.horizon, each.facts) for each in shorter] == [(903, 10), (903, 1), (500, 20)]


def test_of_a_stream_that_is_full_of_facts_as_many_are_in_the_shorter_one_as_fit() -> None:
    shorter = _shorter(RecallTask(1_806, 301))
    assert (shorter.horizon, shorter.facts) == (903, 150)


def test_the_horizon_grows_when_enough_is_right_or_its_share_of_the_budget_is_over() -> None:
    training = PeerRecallTraining(RecallTask(600, 6))
    assert [(each.horizon, each.facts) for each in training.stages] == [(203, 2), (403, 4), (600, 6)]
    assert [training.next_stage(0, right, done) for right, done in ((0.6, 0.3), (0.8, 0.1), (0.1, 0.4))] == [0, 1, 1]
    assert [training.next_stage(1, 0.1, 0.5), training.next_stage(1, 0.1, 0.7)] == [0, 1]
    assert not training.next_stage(2, 1.0, 1.0)


@pytest.mark.slow
def test_text_is_judged_at_the_same_tokens_after_a_memory_of_its_own_or_of_another() -> None:
    model = peer("crystal")
    documents = [tokens(1_937, streams=1, seed=i)[0] for i in range(2)]
    without, own = text_loss(model, documents, 0), text_loss(model, documents, 400)
    other = text_loss(model, documents, 400, shuffled=True)
    assert own.each.shape == (2, 1_024)
    assert len({round(each.nats, 9) for each in (without, own, other)}) == 3
    crossed = [torch.cat((documents[1 - i][:400], documents[i][400:])) for i in range(2)]
    torch.testing.assert_close(other.each, text_loss(model, crossed, 400).each)
    assert own.memory_bytes > without.memory_bytes
    with pytest.raises(InvalidInputError, match="1938 are needed"):
        text_loss(model, documents, 401)


@any_model
@pytest.mark.slow
def test_bytes_on_text_are_those_of_a_stream_that_reads_with_the_windows_of_all_blocks(name: str) -> None:
    model, document = peer(name), tokens(1_937, streams=1)
    with torch.no_grad():
        state = model.step(document[:, :-1], model.start(1))[1]
    assert text_loss(model, [document[0]], 400).memory_bytes == model.memory_bytes(state)


def test_an_unknown_peer_a_missing_package_and_wrong_tokens_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="windowed, transformer-xl"):
        build("gpt", 66, 100_000, 16)
    with pytest.raises(InvalidInputError, match="another number"):
        build("windowed", 66, 300, 16)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[peers\]'"):
        package("no_such_package", "no-such-package")
    model, _, state = read("windowed")
    with pytest.raises(InvalidInputError, match="int64"):
        model.step(tokens(5, streams=3), state)


def test_the_nearest_of_ascending_choices_is_found() -> None:
    squares = {goal: nearest(range(1, 100), lambda each: each**2, goal) for goal in (1, 60, 99**2, 10**9)}
    assert squares == {1: 1, 60: 8, 99**2: 99, 10**9: 99}


def test_a_state_gives_up_all_its_tensors() -> None:
    assert [each.shape for each in tensors(([torch.zeros(1)], None, {"a"}, (torch.zeros(2),)))] == [(1,), (2,)]


def test_every_peer_may_be_named() -> None:
    assert tuple(PEERS) == options.PEERS
    listed = " ".join(CliRunner().invoke(app, ["bench", "neural", "recall", "--help"]).stdout.split())
    assert [name for name in PEERS if name not in listed] == []
