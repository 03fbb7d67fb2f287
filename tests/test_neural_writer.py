"""Writing: which tokens are chosen, and what that teaches."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentmem.neural.crystal import MemoryCrystal

torch.set_num_threads(1)


@given(st.integers(0, 3), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=20)
def test_the_most_important_are_chosen_outright_and_learn_as_from_soft_choices_one_after_another(
    number: int, slots: int, seed: int
) -> None:
    logits = torch.randn(2, number, 5, generator=torch.Generator().manual_seed(seed), requires_grad=True)
    soft, left, taken = [], logits, torch.zeros(logits.shape, dtype=torch.bool)
    for _ in range(slots):
        soft.append(left.masked_fill(taken, -torch.inf).softmax(-1))
        taken = taken | torch.zeros_like(taken).scatter(-1, soft[-1].argmax(-1, keepdim=True), True)
        left = left - (soft[-1] - soft[-1].detach())  # what one slot takes more of, the next ones take less of
    among = torch.stack(soft, 2)
    places = among.argmax(-1).sort(-1)
    got = MemoryCrystal(8).writer._most_important(logits, torch.zeros(logits.shape, dtype=torch.int64), slots)
    assert got.argmax(-1).equal(places.values) if number else got.shape == (2, 0, slots, 5)
    assert got.sum(-1).allclose(torch.ones(()))
    assert places.values.sort(-1).values.equal(logits.topk(slots, -1).indices.sort(-1).values)
    wanted = among.gather(2, places.indices.unsqueeze(-1).expand_as(among))
    by = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(seed))
    if number:
        gradients = (torch.autograd.grad((each * by).sum(), logits, retain_graph=True)[0] for each in (got, wanted))
        torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_slot_has_the_importance_and_the_place_of_what_it_was_made_of_and_both_its_parts_are_normed() -> None:
    torch.manual_seed(0)
    crystal = MemoryCrystal(8)
    written = crystal.crystallize(torch.randn(2, 403, 8))
    for made, choices in zip(written.layers, written.choices, strict=True):
        taken = choices.at.unsqueeze(2) == made.at.unsqueeze(3)
        assert made.importance.allclose((choices.logits.sigmoid().unsqueeze(2) * taken).amax(-1))
        assert (made.at.diff() > 0).all()
        for part in made.slots.split((crystal.settings.cue_bits, crystal.settings.value_bits), -1):
            assert part.mean(-1).abs().max() < 1e-4
            assert part.std(-1, correction=0).sub(1).abs().max() < 1e-2
