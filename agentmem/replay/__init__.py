"""Replay: a stored episode played back, frame by frame, from the log and nothing else.

frames     the frames of an episode: each is made when one looks at it, whatever the others are
recalled   a recall of the log, made again as of then and checked against what was shown then
between    crystals formed and retired, and what was forgotten or erased, from one step to the next
plain      frames as JSON: bounded, with a version
compare    two replays side by side
rerun      an environment's episode played again and checked against the log

Nothing is written. The same file gives the same frames, byte for byte. Knows a memory; knows no environment.
"""

from agentmem.replay.between import Event, Retired
from agentmem.replay.compare import Comparison, Difference, compare
from agentmem.replay.frames import Frame, Frames, Tail, replay
from agentmem.replay.plain import VERSION
from agentmem.replay.recalled import Ranked, Recall
from agentmem.replay.rerun import Checked, Player, rerun

__all__ = [
    "VERSION",
    "Checked",
    "Comparison",
    "Difference",
    "Event",
    "Frame",
    "Frames",
    "Player",
    "Ranked",
    "Recall",
    "Retired",
    "Tail",
    "compare",
    "replay",
    "rerun",
]
