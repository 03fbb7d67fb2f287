"""The extractive condenser: spans within a budget, a quota that holds over every prefix of the log."""

import json
from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentmem.condense import MARK, Quota, Salience, Source, condense, keep, render, select
from agentmem.salience import Scored, read
from agentmem.tokens import count
from agentmem.types import Span

KINDS = st.sampled_from(["observation", "action", "message"])
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.sampled_from("the cat Alice 42 error: key=value 2027-05-01 … went\n to. I love? ".split(" ")), max_size=60
    ).map(" ".join),
)


@st.composite
def segments(draw: st.DrawFn) -> list[Source]:
    rows = draw(st.lists(st.tuples(KINDS, st.sampled_from([None, "user", "Ann"]), TEXTS), max_size=6))
    skips = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=2)
    return [
        Source(10 * n, kind, actor, text, tuple((min(s), max(s)) for s in draw(skips)))
        for n, (kind, actor, text) in enumerate(rows, 1)
    ]


def texts_of(sources: Sequence[Source]) -> dict[int, str]:
    return {source.position: source.text for source in sources}


def story(seed: int, segments: int = 60) -> list[list[Source]]:
    """A log of small talk with a fact in some of the segments."""
    rng = np.random.default_rng(seed)
    filler = "well then we could perhaps see how it goes and talk about it again some other time maybe".split()
    log = []
    for n in range(segments):
        steps = [" ".join(rng.choice(filler, 40)) + "." for _ in range(8)]
        if rng.random() < 0.3:
            steps[3] += f" Dana moved to Lisbon on May {n}, 2027, room {n * 7}."
        log.append([Source(n * 8 + k, "message", "user", text) for k, text in enumerate(steps)])
    return log


def test_no_span_runs_across_a_skipped_gap() -> None:
    text = "0000000000)0 0"
    for skip in range(len(text)):
        source = Source(1, "observation", None, text, ((skip, skip + 1),))
        assert not any(span.start <= skip < span.end for span in select([source], 9, Salience()))


@given(segments(), st.integers(0, 40), st.booleans())
def test_spans_are_sorted_apart_unskipped_and_within_budget(sources: list[Source], budget: int, actors: bool) -> None:
    spans = select(sources, budget, Salience(), actors=actors)
    texts, names = texts_of(sources), {s.position: s.actor for s in sources if s.actor}
    assert count(render(spans, texts, names if actors else None)) <= budget
    assert list(spans) == sorted(spans)
    for (p, _, end), (q, start, _) in pairwise(spans):
        assert p < q or end < start
    for source, (position, start, end) in product(sources, spans):
        assert 0 <= start < end
        if position == source.position:
            assert end <= len(source.text)
            assert all(not (start < last and first < end) for first, last in source.skip if first < last)


@given(segments(), st.integers(1, 40))
def test_every_fragment_is_found_word_for_word_in_a_source(sources: list[Source], budget: int) -> None:
    text = render(select(sources, budget, Salience()), texts_of(sources))
    for fragment in text.replace(MARK.strip(), "\n").split("\n"):
        assert any(fragment.strip() in source.text for source in sources) or not fragment.strip()


def test_the_grammar_of_a_crystal() -> None:
    texts = {3: "Ann moved to Lisbon in May.", 5: "Rain."}
    spans = (Span(3, 0, 9), Span(3, 13, 19), Span(5, 0, 5))
    assert render(spans, texts) == "Ann moved … Lisbon\nRain."
    assert render(spans, texts, {3: "ann"}) == "ann: Ann moved … Lisbon\nRain."
    assert render((), {}) == ""


def test_what_stands_out_is_kept() -> None:
    talk = "Well, I was just thinking about how things are going and so on. "
    sources = [Source(1, "message", "user", talk * 6 + "My locker code is 4471. " + talk * 6)]
    assert "locker code is 4471" in render(select(sources, 12, Salience()), texts_of(sources))


def test_a_tool_log_keeps_whole_lines() -> None:
    listing = "\n".join(f"    value_{n} = compute(value_{n - 1});" for n in range(60))
    sources = [
        Source(1, "action", "agent", "run tests"),
        Source(2, "observation", "tool", f"{listing}\nERROR: 3 of 12 checks failed in test_ledger"),
    ]
    assert "ERROR: 3 of 12 checks failed in test_ledger" in render(select(sources, 24, Salience()), texts_of(sources))


@settings(max_examples=30)
@given(st.data())
def test_keep_is_the_optimum(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 8))
    numbers = st.floats(0, 5, allow_nan=False)
    weight = np.array(data.draw(st.lists(numbers, min_size=n, max_size=n)))
    cost = np.array(data.draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)), float)
    opens = np.array([True, *data.draw(st.lists(st.booleans(), min_size=n - 1, max_size=n - 1))])
    source = np.cumsum(opens) - 1
    price = data.draw(st.floats(0.1, 3))
    scored = Scored(source, np.arange(n), np.arange(n) + 1, weight, cost, opens, np.zeros(n, bool))

    def worth(kept: Sequence[bool]) -> float:
        starts = [k and (opens[i] or not kept[i - 1]) for i, k in enumerate(kept)]
        return float(sum(weight[i] - price * cost[i] for i in range(n) if kept[i]) - price * sum(starts))

    best = max(worth(kept) for kept in product([False, True], repeat=n))
    assert worth(keep(scored, price).tolist()) == pytest.approx(best, abs=1e-9)


@given(st.lists(segments(), max_size=8), st.sampled_from([2.0, 5.0, 10.0, 50.0]))
def test_no_prefix_of_the_log_spends_more_than_its_share(log: list[list[Source]], ratio: float) -> None:
    quota, salience = Quota(ratio), Salience()
    seen = spent = 0
    for sources in log:
        spans = quota.take(sources, salience.score(sources))
        salience.learn(read(sources))
        seen += sum(count(source.text) for source in sources)
        spent += count(render(spans, texts_of(sources)))
        assert spent == quota.spent <= seen / ratio


def test_a_long_log_uses_its_share() -> None:
    quota, salience = Quota(10), Salience()
    for sources in story(1, 400):
        quota.take(sources, salience.score(sources))
        salience.learn(read(sources))
    assert 0.95 <= quota.spent * 10 / quota.seen <= 1


def test_rich_segments_spend_what_poor_ones_saved() -> None:
    quota, salience = Quota(50), Salience()
    kept = []
    for sources in story(2, 80):
        kept.append(render(quota.take(sources, salience.score(sources)), texts_of(sources)))
        salience.learn(read(sources))
    rich = [text for text, sources in zip(kept, story(2, 80), strict=True) if "Lisbon" in sources[3].text]
    assert sum("2027" in text for text in rich) >= 0.7 * len(rich)


def test_going_on_from_a_state_gives_the_same_spans() -> None:
    log = story(3, 20)
    whole, quota, salience = [], Quota(10), Salience()
    for sources in log:
        whole.append(quota.take(sources, salience.score(sources)))
        salience.learn(read(sources))
    parts, quota, salience = [], Quota(10), Salience()
    for sources in log:
        parts.append(quota.take(sources, salience.score(sources)))
        salience.learn(read(sources))
        state = json.loads(json.dumps([quota.to_state(), salience.to_state()]))
        quota, salience = Quota(**state[0]), Salience.from_state(state[1])
    assert parts == whole


@given(st.lists(TEXTS, max_size=5))
def test_condense_is_ten_to_one_of_the_texts_together(texts: list[str]) -> None:
    assert count(condense(texts)) <= sum(map(count, texts)) / 10
    assert condense(texts) == condense(list(texts))
