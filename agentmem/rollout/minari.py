"""Rollouts as Minari datasets, and back, with minari, which comes with the extra `envs`.

What agentmem.ingest reads of a dataset is for remembering; here its values come back as they were.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from agentmem.errors import InvalidInputError, MissingExtraError, NotFoundError
from agentmem.memory import Memory, check_memory
from agentmem.records import brief
from agentmem.rollout.lanes import Took
from agentmem.rollout.making import Make, given_to, maker, name_of
from agentmem.rollout.notes import FILES, NOTE, check_same, claimed, files_of, note_at, numbered, take
from agentmem.rollout.raised import closing
from agentmem.rollout.reading import Reading, reading_of
from agentmem.rollout.report import episode_report
from agentmem.rollout.trail import Trail, flush
from agentmem.rollout.values import BLOB, pack, unpack
from agentmem.types import Step

INSTALL = "datasets of Minari need minari and h5py: pip install 'agentmem-crystal[envs]'"
NOT_GIVEN = "`(code_permalink|author|author_email|algorithm_name|description|eval_env)` is set to None"
"""What Minari warns of where `about` does not have it, as it need not."""


def _minari() -> Any:
    try:
        import h5py  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
        import minari  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise MissingExtraError(INSTALL) from error
    return minari


def export_minari(
    memory: Memory, env: str | Make, dataset_id: str, options: Mapping[str, Any] | None = None, **about: Any
) -> Any:
    """Write the episodes of a rollout that are over as a dataset, `name-v0`, and return it.

    env: as the rollout had it. options: those of the rollout, which are noted and need not be given; of what the
    wrapper or an import logged nothing is noted. about: what else minari.create_dataset_from_buffers takes, such as
    author. Raises NotFoundError where the memory has no such episode, SettingsError for other options than the
    rollout's, MissingExtraError without minari.
    """
    check_memory(memory)
    minari = _minari()
    from minari.data_collector import EpisodeBuffer  # type: ignore[import-not-found, import-untyped, unused-ignore]

    _check_id(minari, dataset_id)
    called = name_of(env)
    note = note_at(memory.scoped(*memory.namespace, called))
    if "policy" in note:
        about = {"algorithm_name": note["policy"], **about}
    with closing(_maker(note, env, options)(), called) as made:
        episodes = list(_episodes(memory, called))
        if not episodes:
            raise NotFoundError(f"this memory has no whole episode of {called!r}; play some with rollout() first")
        buffers = [EpisodeBuffer(**_columns(memory, number, steps, made)) for number, steps in episodes]
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", NOT_GIVEN, UserWarning)
                return minari.create_dataset_from_buffers(
                    dataset_id=dataset_id, buffer=buffers, env=made if made.spec else None, jpeg_encoding=False,
                    observation_space=made.observation_space, action_space=made.action_space, **about,
                )  # fmt: skip
        except ValueError as error:
            raise InvalidInputError(f"dataset {dataset_id!r} cannot be made: {error}") from error


def _check_id(minari: Any, dataset_id: str) -> None:
    try:
        minari.dataset.minari_dataset.parse_dataset_id(dataset_id)
    except (TypeError, ValueError) as error:  # the former for a name without a version
        raise InvalidInputError(
            f"dataset {dataset_id!r} cannot be called so (a name is of letters, digits, - and _, and has a version); "
            "name it as name-v0, or as space/name-v0 with a space of two letters or more"
        ) from error


def _maker(note: Mapping[str, Any], env: str | Make, options: Mapping[str, Any] | None) -> Make:
    """What makes the environment as it was played, as far as that is noted."""
    if options is None and isinstance(env, str):
        options = _plain(note.get("options"))
    make = maker(env, options)
    if "options" in note:
        given = given_to(env, options)
        check_same(note, {"options": pack(given)[0], FILES: files_of(given)}, "a rollout", "to export it")
    return make


def _plain(noted: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Options as they are noted, where these are what was given: a tuple is noted as a list, an array as a text."""
    for name, value in (noted or {}).items():
        if not isinstance(value, bool | int | float | str | None) or str(value).startswith(BLOB):
            raise InvalidInputError(
                f"the rollout's option {name} is noted as {brief(value)}, which may not be all of it: give options= as "
                "the rollout had them"
            )
    return noted


def _episodes(memory: Memory, called: str) -> Iterator[tuple[int, list[Step]]]:
    """Number and steps of every episode that is over, by number."""
    place = memory.scoped(*memory.namespace, called)
    for number in numbered(place):
        steps = list(memory.scoped(*place.namespace, str(number)).steps())
        if steps and steps[-1].kind == "observation" and any(step.terminated or step.truncated for step in steps):
            yield number, steps


def _columns(memory: Memory, number: int, steps: Sequence[Step], env: Any) -> dict[str, Any]:
    """An episode as Minari's buffer has it: one more observation than actions."""
    seen = [step for step in steps if step.kind == "observation" and "observation" in step.data]
    acts = [step for step in steps if step.kind == "action"]
    values = [unpack(env.observation_space, step.data["observation"], _blobs(memory, step)) for step in seen]
    actions = [unpack(env.action_space, step.data["action"], _blobs(memory, step)) for step in acts]
    for step, action in zip(acts, actions, strict=True):
        if not env.action_space.contains(action):
            raise InvalidInputError(
                f"action {action!r} of episode {number}, turn {step.data['n']}, is none of {env.action_space}: Minari "
                "keeps no such action; export rollouts of a policy that stays within the space"
            )
    return {
        "id": number,
        "observations": _stacked(env.observation_space, values),
        "actions": _stacked(env.action_space, actions),
        "rewards": [step.reward or 0.0 for step in seen[1:]],
        "terminations": [step.terminated for step in seen[1:]],
        "truncations": [step.truncated for step in seen[1:]],
    }


def _blobs(memory: Memory, step: Step) -> dict[str, bytes]:
    return {name: memory.blob(digest) for name, digest in step.blobs.items()}


def _stacked(space: Any, values: Sequence[Any]) -> Any:
    """Values row by row as columns."""
    if isinstance(space, spaces.Dict):
        return {key: _stacked(inner, [value[key] for value in values]) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_stacked(inner, [value[n] for value in values]) for n, inner in enumerate(space.spaces))
    return list(values) if isinstance(space, spaces.Text) else np.asarray(values, space.dtype)


def import_minari(memory: Memory, dataset: Any, name: str | None = None, reading: Reading | None = None) -> int:
    """Log the episodes of a Minari dataset, given or named, as those of a rollout; returns how many are new.

    name: what the episodes' namespaces are called; the environment's id, or the dataset's without one. Episodes that
    are there already are left as they are. Raises NotFoundError for a dataset that is not on this machine,
    SettingsError where the memory holds episodes of this name that are not of this dataset, and while another process
    or thread imports one of them.
    """
    check_memory(memory)
    minari = _minari()
    if isinstance(dataset, str):
        try:
            dataset = minari.load_dataset(dataset)
        except (FileNotFoundError, ValueError) as error:
            raise NotFoundError(
                f"there is no dataset {dataset!r} here ({error}); list them: minari list local"
            ) from error
    called = name or (dataset.spec.env_spec.id if dataset.spec.env_spec else dataset.spec.dataset_id)
    reading, known = reading or reading_of(called), 0
    place = memory.scoped(*memory.namespace, called)
    take(place, {"environment": called, "dataset": dataset.spec.dataset_id}, by="import_minari()")
    for episode in dataset.iterate_episodes():
        space = memory.scoped(*place.namespace, str(int(episode.id)))
        with claimed(space):
            if NOTE not in space.attachments():
                _log(Trail(space, int(episode.id), 0, reading), episode, dataset.spec)
                known += 1
    return known


def _log(trail: Trail, episode: Any, spec: Any) -> None:
    """Log one episode, all its steps at once; if they are there, an import was interrupted right behind them."""
    if not trail.steps:
        took = Took(_row(spec.observation_space, episode.observations, 0), None, False, False, {})
        ends = zip(episode.rewards, episode.terminations, episode.truncations, strict=True)
        for turn, (reward, terminated, truncated) in enumerate(ends):
            trail.act(took, _row(spec.action_space, episode.actions, turn), None, "none")
            trail.turn += 1
            seen = _row(spec.observation_space, episode.observations, trail.turn)
            took = Took(seen, float(reward), bool(terminated), bool(truncated), {})
        trail.waiting.append(trail.observe(took))
        flush([trail])
    trail.end()
    trail.memory.crystallize()
    trail.memory.attach(NOTE, episode_report(trail).model_dump_json().encode())


def _row(space: Any, column: Any, place: int) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _row(inner, column[key], place) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_row(inner, column[n], place) for n, inner in enumerate(space.spaces))
    return column[place]
