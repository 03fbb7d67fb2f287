"""The table of drills: which promises each stands for, and how often a whole run does it."""

from __future__ import annotations

from torture import (
    clocks,
    copies,
    crowd,
    faults,
    flips,
    formats,
    inputs,
    memory_kills,
    power,
    stops,
    store_kills,
    trust,
)
from torture.drill import Drill

DRILLS = [
    Drill("kill a store", "P1 P2 P4 P6", "kills", 1_400, store_kills.part),
    Drill("kill a memory", "P1 P4 P6 P7 P8 P9", "kills", 600, memory_kills.part),
    Drill("cut the power", "P1 P2 P6", "states", 20_000, power.part, power.lacking),
    Drill("fail a call", "P12", "faults", 1_000, faults.part),
    Drill("flip a bit", "P11", "flips", 2_000, flips.part),
    Drill("crowd", "P3 P5 P7 P10", "commits", 20_000, crowd.part),
    Drill("retry", "P4", "retries", 2_000, crowd.retries),
    Drill("jump the clock", "P3 P9", "jumps", 2_000, clocks.part),
    Drill("kill a migration", "P13", "kills", 1_000, formats.part),
    Drill("back up under load", "P10 P16", "backups", 200, copies.part),
    Drill("two tenants", "P15", "sequences", 3_000, trust.two_tenants),
    Drill("erase", "P14", "erasures", 300, trust.erase),
    Drill("hostile files", "P18", "files", 500, trust.files),
    Drill("bad inputs", "P15 P18", "inputs", 20_000, inputs.part),
    Drill("stop a server", "P17", "stops", 300, stops.part),
]
