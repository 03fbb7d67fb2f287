"""What users hold: a Memory, and the EpisodeWriter that logs into it."""

from agentmem.memory.episode import EpisodeWriter, Recalled, log_together
from agentmem.memory.memory import Memory
from agentmem.memory.repairing import repair

__all__ = ["EpisodeWriter", "Memory", "Recalled", "log_together", "repair"]
