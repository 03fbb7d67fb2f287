"""Trained policies: a small network chooses what to do, given what a memory recalls. Needs torch.

words        texts as numbered words
choice       the network that chooses among offered calls
choosing     the policy that it makes
demonstrations bc      what an oracle shows, and imitation of it
files        checkpoints by name
"""

import agentmem.neural  # noqa: F401  (says what to install where torch is missing)
from agentmem.policy.choosing import ChoicePolicy
from agentmem.policy.files import load_trained

__all__ = ["ChoicePolicy", "load_trained"]
