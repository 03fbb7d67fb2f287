"""What proves the promises of docs/promises.md: drills that kill, cut, fill, flip and crowd a memory, and count.

`python -m torture` runs them, `make torture` too. Each is a function of a seed and an empty folder that says what it
did and raises where a promise broke, so that a run can stop anywhere, go on later, and repeat what failed.
"""
