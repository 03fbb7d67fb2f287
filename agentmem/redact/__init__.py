"""What must not be remembered: secrets and personal data, found in texts and masked, by scanners of linear time.

    kinds       the kinds, and patterns of what is known by its beginning
    scanners    keys, tokens, headers, addresses with passwords
    assigned    secrets by the name they are given
    personal    cards, IBANs, e-mail addresses, telephone numbers, ...
    policy      what is done with each kind, as data
    presidio    the analyser of presidio-analyzer, where it is installed

Knows texts alone; where they are written is known to `agentmem.memory.redacting`.
"""

from agentmem.redact.kinds import PERSONAL, SECRETS, Pattern, check_kind, placeholder
from agentmem.redact.policy import ACTIONS, GROUPS, KINDS, Analyser, Masked, Redaction
from agentmem.redact.scanners import Found

__all__ = [
    "ACTIONS",
    "GROUPS",
    "KINDS",
    "PERSONAL",
    "SECRETS",
    "Analyser",
    "Found",
    "Masked",
    "Pattern",
    "Redaction",
    "check_kind",
    "placeholder",
]
