"""What measurements print, and the folder that they write into."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from agentmem.bench.arguments import new_folder
from agentmem.bench.printed import json_of, timed


def test_a_number_that_json_cannot_hold_is_null_at_any_depth_and_all_else_is_as_it_is() -> None:
    rows = {"mean": math.nan, "rows": [(1, -math.inf, 0.5), {"bits": {768: math.inf}}], "name": "é", "none": None}
    assert json_of(rows, ensure_ascii=False) == (
        '{"mean": null, "rows": [[1, null, 0.5], {"bits": {"768": null}}], "name": "é", "none": null}'
    )
    whole = {"a": [1, 2.5, True, "x"], "b": {}}
    assert json_of(whole, indent=1) == json.dumps(whole, indent=1)


def test_times_have_the_digits_that_they_are_worth_and_all_else_has_its_own() -> None:
    run = {"write_us_per_token": 19.952402299999992, "step_us": 123_456.7, "exact": 2 / 3}
    told = {"write_us_per_token": 19.95, "step_us": 123_500.0, "exact": 2 / 3}
    assert timed({**run, "runs": [run], 1_024: (2 / 3, 0.0)}) == {**told, "runs": [told], 1_024: (2 / 3, 0.0)}
    assert timed({"seconds": 1_234.56, "read_us": math.inf, "us": [1, None]}) == {
        "seconds": 1_234.56,
        "read_us": math.inf,
        "us": [1, None],
    }


def stopped(out: Path, *written: str) -> None:
    """A measurement into a folder, that Ctrl-C ends after it has written these."""
    with new_folder(out) as folder:
        for name in written:
            (folder / name).touch()
        raise KeyboardInterrupt


@pytest.mark.parametrize("inner", ["there", "there/new/in"])
def test_a_measurement_that_is_stopped_leaves_no_empty_folder_but_all_that_was_there(
    inner: str, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(KeyboardInterrupt):
        stopped(tmp_path / inner)
    assert [each.name for each in tmp_path.rglob("*")] == ["there"]


def test_a_folder_in_which_something_was_written_stays(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stopped(tmp_path / "new", "results.json")
    assert (tmp_path / "new" / "results.json").is_file()
