"""What holds for every environment of the package, and the text that observations are made of."""

import importlib
import inspect
import json
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env, data_equivalence
from hypothesis import given
from hypothesis import strategies as st

from agentmem.errors import InvalidInputError
from agentmem_envs import ENVIRONMENTS
from agentmem_envs.picture import INK, page
from agentmem_envs.text import CHARSET, SAMPLED, plain, text_space

ROOT = Path(__file__).parent.parent
LOAN = str(ROOT / "examples" / "loan_application.yaml")
ARGUMENTS: dict[str, dict[str, Any]] = {"agentmem/Workflow-v0": {"definition": LOAN}}
"""By id: what it cannot be made without."""
ONE_EACH = [name for name in ENVIRONMENTS if name.count("-") == 1]
SECTIONS = (
    "Description|Action Space|Observation Space|Rewards|Info|Termination|Arguments|Registered Configurations".split("|")
)
MADE = """
import gymnasium
print(gymnasium.make("agentmem_envs:agentmem/TMaze-v0", length=7).unwrapped.length)
"""
PLAYED = """
import hashlib, json, sys
import gymnasium, agentmem_envs
for name, arguments in json.loads(sys.argv[1]).items():
    env = gymnasium.make(name, disable_env_checker=True, **arguments)
    env.action_space.seed(5)
    digest = hashlib.sha256(repr(env.reset(seed=5)).encode())
    for _ in range(200):
        step = env.step(env.action_space.sample())
        digest.update(repr(step).encode())
        if step[2] or step[3]:
            digest.update(repr(env.reset()).encode())
    print(name, digest.hexdigest())
"""


def python(code: str, *arguments: str, **environment: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_passes_the_checker_without_a_warning(name: str) -> None:
    module, entry = ENVIRONMENTS[name][0].split(":")
    for mode in getattr(importlib.import_module(module), entry).metadata["render_modes"]:
        env = gymnasium.make(name, render_mode=mode, **ARGUMENTS.get(name, {})).unwrapped
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(env)


@pytest.mark.parametrize("name", ONE_EACH)
def test_before_a_reset_nothing_is_told_but_that_it_is_to_be_called(name: str) -> None:
    env: Any = gymnasium.make(name, render_mode="ansi", **ARGUMENTS.get(name, {})).unwrapped
    asked = [env.render, lambda: env.step(0), *([env.right_call] if "Workflow" in name else [])]
    for ask in asked:
        with pytest.raises(InvalidInputError, match="has not begun.*call reset"):
            ask()
    assert getattr(env, "results", []) == []
    if "Shift" in name:
        assert [env.candidates(), env.writes()] == [[], False]
    env.reset(seed=0)
    assert env.render()


@pytest.mark.parametrize("name", [each for each in ONE_EACH if "Shift" in each])
def test_a_misspelt_option_of_reset_is_refused_with_the_one_that_there_is(name: str) -> None:
    env = gymnasium.make(name, **ARGUMENTS.get(name, {}))
    with pytest.raises(
        InvalidInputError, match=r"options=\{'delya': 3\}: no such option 'delya'; did you mean 'delay'\?"
    ):
        env.reset(options={"delya": 3})


@pytest.mark.parametrize("name", ONE_EACH)
def test_options_of_reset_are_a_dict(name: str) -> None:
    env = gymnasium.make(name, **ARGUMENTS.get(name, {}))
    with pytest.raises(InvalidInputError, match="options=3: give a dict"):
        env.reset(options=3)  # type: ignore[arg-type]
    first, again = env.reset(seed=3, options={})[0], env.reset(seed=3)[0]
    assert data_equivalence(first, again)


@pytest.mark.parametrize("name", ONE_EACH)
def test_an_option_that_a_wrapper_takes_and_hands_on_is_no_mistake(name: str) -> None:
    minari = pytest.importorskip("minari")
    collected = minari.DataCollector(gymnasium.make(name, **ARGUMENTS.get(name, {})))
    first, again = collected.reset(seed=3, options={"minari_autoseed": False})[0], collected.reset(seed=3)[0]
    assert data_equivalence(first, again)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_specification_survives_json(name: str) -> None:
    spec = gymnasium.make(name, **ARGUMENTS.get(name, {})).spec
    assert spec is not None
    again = EnvSpec.from_json(spec.to_json())
    first, second = (gymnasium.make(each).reset(seed=3)[0] for each in (spec, again))
    assert data_equivalence(first, second)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_help_of_an_environment_tells_all_of_it_once(name: str) -> None:
    module, entry = ENVIRONMENTS[name][0].split(":")
    made = getattr(importlib.import_module(module), entry)
    told, own = made.__doc__, [each for each in made.__mro__ if each.__module__.startswith("agentmem_envs")]
    for section in SECTIONS:
        assert told.count(f"## {section}\n") == 1
    arguments = {argument for each in own for argument in inspect.signature(each).parameters} - {"domain", "settings"}
    assert arguments > {"render_mode"}
    assert all(f"`{argument}`" in told for argument in arguments)
    desk, *variant, version = name.split("-")
    assert f"`{desk}-{version}`" in told
    assert all(f"-{each}-{version}`" in told for each in variant)


@pytest.mark.parametrize("name", ONE_EACH)
def test_what_a_step_hands_out_does_not_grow_with_the_episode_and_its_end_tells_the_results(name: str) -> None:
    env = gymnasium.make(name, **ARGUMENTS.get(name, {"length": 999} if "TMaze" in name else {}))
    _, info = env.reset(seed=0)
    sizes, told, over = list[int](), [info["results"]], False
    while not over:
        *given, terminated, truncated, info = env.step(0 if "TMaze" in name else "no call")
        sizes.append(len(pickle.dumps((given, info))))
        told.append(info["results"])
        over = terminated or truncated
    assert len(sizes) >= 600
    assert told[:-1] == [[]] * len(sizes)
    assert all(not result["solved"] for result in told[-1])
    assert told[-1] == getattr(env.unwrapped, "results", told[-1]) != []
    assert median(sizes[-201:-1]) < 1.5 * median(sizes[100:300])


def test_a_seed_gives_the_same_bytes_in_processes_of_different_hash_seeds() -> None:
    """Shifts have a proof of their own, in test_envs_shift_seeds."""
    chosen = {name: ARGUMENTS.get(name, {}) for name in ENVIRONMENTS if "Shift" not in name}
    names = json.dumps(chosen)
    path = os.pathsep.join([str(ROOT), str(ROOT / "environments")])
    one, other = (python(PLAYED, names, PYTHONHASHSEED=seed, PYTHONPATH=path).splitlines() for seed in ("1", "2"))
    assert one == other
    assert len(one) == len(chosen) > 1


def test_an_id_that_names_the_package_needs_no_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)  # as installed
    assert python(MADE) == "7\n"


def test_importing_the_package_loads_no_environment() -> None:
    loaded = python("import sys, agentmem_envs; print([name for name in sys.modules if name.startswith('agentmem')])")
    assert loaded == "['agentmem_envs']\n"


def test_a_page_shows_its_text_letter_by_letter_and_is_always_of_one_size() -> None:
    def ink(text: str) -> Any:
        return (page(text) == INK).all(2)

    assert page("").shape == page("word " * 9_000).shape == (216, 576, 3)
    assert not ink("").any()
    assert ink("\nL")[9:18, 6:12].astype(int).tolist()[1:8] == [[1, 0, 0, 0, 0, 0]] * 6 + [[1, 1, 1, 1, 1, 0]]
    letters = {ink(letter).tobytes() for letter in CHARSET}
    assert len(letters) == 95  # a newline shows nothing, as a space
    assert (ink("word " * 9_000)[-9:] == ink("\n" * 23 + "...")[-9:]).all()


def test_text_is_written_in_printable_ascii() -> None:
    assert plain("“Zoë” pays 12 € – at\r\nŁódź\t★") == '"Zoe" pays 12 EUR - at\nLodz ?'


@given(st.text())
def test_any_text_made_plain_is_in_the_space_and_stays_as_it_is(text: str) -> None:
    once = plain(text)
    assert set(once) <= CHARSET
    assert once in text_space(len(once) + 1)
    assert plain(once) == once


@given(st.text(), st.text())
def test_text_made_plain_keeps_the_letters_that_are_its_spaces_own(text: str, own: str) -> None:
    charset = CHARSET | set(own)
    assert plain(own, charset) == own
    assert plain(text, charset) in text_space(10_000, charset)
    assert plain(text, CHARSET | set(text)) == text


def test_samples_of_texts_are_short_and_long_texts_stand_in_the_space() -> None:
    space = text_space(4096)
    space.seed(0)
    samples = [space.sample() for _ in range(200)]
    assert all(map(space.contains, [*samples, "x" * 4096]))
    assert max(map(len, samples)) == SAMPLED
    assert len(space.sample((2000, None))) == 2000
    assert len(text_space(3).sample()) <= 3
