"""The same seed shows the same bytes in every process; and the long proofs, over many seeds."""

import os
import runpy
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from shifts import DOMAINS, INSTALLED, WINDOW, by_oracle, far_from_chance, offered, played, ruled, shares

from agentmem_envs.shift.policies import Oracle, Rule
from agentmem_envs.shift.rules import reference
from agentmem_envs.shift.stock import Fresh

SPEED = Path(__file__).parent.parent / "scripts" / "shift_speed.py"
SHOWS = """
from test_envs_shift_seeds import DIGESTED, digest
print(*map(digest, DIGESTED), sep="\\n")
"""
DIGESTED = ["shop", *(["retail", "airline", "telecom", "banking"] if INSTALLED else [])]


def digest(domain: str) -> str:
    shift = played(offered(domain, steps=150, drift=True), 11, Oracle())
    return f"{domain} {sha256(repr(shift).encode()).hexdigest()}"


def test_two_processes_with_two_hash_seeds_show_the_same_bytes() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    environment["PYTHONHASHSEED"] = "1"  # this process has another: one of four thousand million, mostly
    command = [sys.executable, "-c", SHOWS]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == [digest(domain) for domain in DIGESTED]


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_seed_gives_the_same_shift_again_and_another_gives_another(domain: str) -> None:
    env = offered(domain, steps=150)
    first, again, other = (played(env, seed, Oracle()) for seed in (1, 1, 2))
    assert first == again
    assert first.texts != other.texts


def speeds(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(SPEED), *arguments])
    runpy.run_path(str(SPEED), run_name="__main__")


@pytest.mark.parametrize("option", ["--seeds", "--steps"])
@pytest.mark.parametrize("given", ["0", "-1", "2.5", "some", "9" * 5_000])
def test_speeds_of_no_shifts_are_refused_with_the_limits(
    option: str, given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        speeds(monkeypatch, option, given)
    least = 101 if option == "--steps" else 1
    told = f"error: argument {option}: {given}: give a whole number from {least} to 1,000,000"
    assert capsys.readouterr().err.splitlines()[-1].endswith(told)


@pytest.mark.slow
def test_speeds_of_shifts_that_hardly_leave_room_for_the_delay_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    speeds(monkeypatch, "--seeds", "1", "--steps", "101")
    assert len(capsys.readouterr().out.splitlines()) == 1 + 5 * 2 * 4


@pytest.mark.slow
def test_a_shift_that_is_longer_than_its_short_references_are_many_makes_longer_ones() -> None:
    fresh = Fresh(np.random.default_rng(0))
    made = [fresh(reference) for _ in range(37_000)]  # of 36,000 short ones
    short = {value for value in made if len(value) == len("REF-QA41")}
    assert len(set(made)) == 37_000
    assert len(short) > 35_000
    assert not any(value[:8] in short for value in made if value not in short)
    assert all(len(value) == 8 for value in made[:20_000])


@pytest.mark.slow
@pytest.mark.parametrize("drift", [False, True], ids=["", "drift"])
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("domain", DOMAINS)
def test_two_hundred_seeds_are_solved_by_the_oracle_and_none_leaks(domain: str, split: str, drift: bool) -> None:
    taken: list[tuple[str, float]] = []
    for seed in range(200):
        shift = played(offered(domain, steps=300, split=split, drift=drift), seed, Oracle())
        assert all(shift.taken)
        assert all(shift.accepted)
        assert 0.55 <= fmean(result["hidden"] for result in shift.results) <= 0.65
        for step in shift.hidden:
            window = "\n".join(shift.window(step))
            assert not any(value in window for value in shift.values[step])
        taken += ruled(shift, WINDOW)
    assert min(number for _, number in shares(taken).values()) > 100
    assert far_from_chance(taken, 100) == {}


@pytest.mark.slow
@pytest.mark.parametrize("drift", [False, True], ids=["", "drift"])
@pytest.mark.parametrize("domain", DOMAINS)
def test_a_window_that_plays_a_long_shift_itself_is_at_chance(domain: str, drift: bool) -> None:
    env = offered(domain, steps=1000, drift=drift)
    shifts = [played(env, seed, Rule(WINDOW, seed)) for seed in range(20)]
    taken = [(shift.kinds[step], float(shift.taken[step])) for shift in shifts for step in shift.hidden]
    assert abs(fmean(right for _, right in taken) - 1 / 8) < 0.02
    assert all(all(each) for each in (shift.taken for shift in by_oracle(domain, 20, 1000, drift=drift)))


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("domain", DOMAINS)
def test_weeks_are_solved_by_the_oracle(domain: str, split: str) -> None:
    for drift in (False, True):
        week = played(offered(domain, days=5, split=split, drift=drift), 0, Oracle())
        assert all(result["solved"] for result in week.results)
