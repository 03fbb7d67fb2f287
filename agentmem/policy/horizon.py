"""How much of an episode is learned from: of long ones their beginnings first. Knows nothing else."""

FIRST, GROWS = 64, 0.1
"""Steps at first, and the share of the budget after which they are twice as many."""


def horizon(stage: int) -> int:
    """Steps of an episode, at a stage of training."""
    return FIRST << stage


def grown(stage: int, done: float) -> bool:
    """Whether a stage is over. done: the share of the budget that is used up."""
    return done >= GROWS * (stage + 1)
