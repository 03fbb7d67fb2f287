"""A server that is told to stop by SIGTERM while it is sent steps."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
from strategies import opened

from agentmem.server import Limits, new_token, serve
from torture.children import Child, Say

STOPS, WRITERS = 3, 3
SECONDS = 10.0  # that a stop may take


def server(file: Path, say: Say) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with opened(file, durability="power") as memory:
        serve(memory, Path(f"{file}.tokens"), "127.0.0.1", 0, (), Limits(rate=1e6), say)


def send(address: str, token: str, writer: int, told: list[str]) -> None:
    """Steps, one after another, until nobody answers."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        for number in range(100_000):
            text = f"{token[:8]} {writer} {number}"
            try:
                answer = client.post(f"/v1/episodes/w{writer}/steps", json={"steps": [{"text": text, "key": text}]})
            except httpx.TransportError:
                return
            if answer.status_code == 201:
                told.append(text)
            if number % 10 == 9:
                answer = client.post("/v1/crystallize")


def stop(file: Path, seed: int) -> list[str]:
    """What a server had acknowledged when it had stopped."""
    token, told = new_token(Path(f"{file}.tokens"), ()), list[str]()
    child = Child(partial(server, file))
    child.wait_for_a_word()
    address = child.word()
    with ThreadPoolExecutor(WRITERS) as pool:
        for writer in range(WRITERS):
            pool.submit(send, address, token, writer, told)
        pause = random.Random(seed).uniform(0.0, 0.4)
        while seed % 4 and not told:  # else it may be stopped before it answered anything
            time.sleep(0.01)
        time.sleep(pause)
        child.kill(signal.SIGTERM)
        began = time.monotonic()
        child.lines()
        took = time.monotonic() - began
    assert took < SECONDS, f"the stop took {took:.1f} s"
    assert child.code == 0, f"the server ended with {child.code}"
    return told


def part(seed: int, folder: Path) -> Counter[str]:
    file, done = folder / "agent.mem", Counter[str]()
    acknowledged: list[str] = []
    for number in range(STOPS):
        acknowledged += stop(file, STOPS * seed + number)
        assert not file.with_name("agent.mem-wal").exists(), "a stopped server left its write-ahead log"
        with opened(file) as memory:
            there = [step.text for step in memory.steps()]
            assert set(acknowledged) <= set(there), "a step that was acknowledged is gone"
            assert len(there) == len(set(there)), "a step is there twice"
            assert memory.verify().ok
        done += Counter(stops=1)
    return done + Counter(steps=len(acknowledged))
