"""What measurements print as JSON."""

from __future__ import annotations

import json
import math

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
