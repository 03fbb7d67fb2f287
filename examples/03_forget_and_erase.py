"""Forget and erase: correct what an agent remembers, and delete what it must not keep.

Prints:

    Before: 3 hits
    After forgetting: 2 hits
    After undoing that: 3 hits

    Erasing what is about Maria would remove 1 step of 3.
    Residue: none
    Verified: True
    Files that still hold her address: none
"""

import tempfile
from pathlib import Path

from agentmem import Memory

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "support.mem"
    with Memory.open(path) as memory:
        with memory.episode(goal="answer customers", id="chat") as episode:
            wrong = episode.say("agent", "Returns are accepted within 90 days.")
            episode.say("Maria", "My order 5512 goes to 7 Harbour Street.", subjects=["maria"])
            episode.say("agent", "Correction: returns are accepted within 30 days.")

        cue = "Within how many days are returns accepted?"
        print("Before:", len(memory.recall(cue).hits), "hits")

        memory.forget(steps=wrong.id)  # hidden from recall, still in the log
        print("After forgetting:", len(memory.recall(cue).hits), "hits")
        memory.forget(steps=wrong.id, undo=True)
        print("After undoing that:", len(memory.recall(cue).hits), "hits")

        plan = memory.erase(subject="maria", dry_run=True)
        print(f"\nErasing what is about Maria would remove {plan.steps} step of {len(list(memory.steps()))}.")
        done = memory.erase(subject="maria")
        print("Residue:", done.residue or "none")
        print("Verified:", memory.verify().ok)

    left = [file.name for file in Path(folder).iterdir() if b"Harbour Street" in file.read_bytes()]
    print("Files that still hold her address:", left or "none")
