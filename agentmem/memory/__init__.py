"""What users hold: a Memory, and the EpisodeWriter that logs into it."""

from agentmem.memory.episode import EpisodeWriter, Recalled, log_together
from agentmem.memory.memory import Memory, check_memory
from agentmem.memory.repairing import repair

__all__ = ["EpisodeWriter", "Memory", "Recalled", "check_memory", "log_together", "repair"]
