"""What measurements print as JSON."""

from __future__ import annotations

import json
import math

from agentmem.bench.printed import json_of


def test_a_number_that_json_cannot_hold_is_null_at_any_depth_and_all_else_is_as_it_is() -> None:
    rows = {"mean": math.nan, "rows": [(1, -math.inf, 0.5), {"bits": {768: math.inf}}], "name": "é", "none": None}
    assert json_of(rows, ensure_ascii=False) == (
        '{"mean": null, "rows": [[1, null, 0.5], {"bits": {"768": null}}], "name": "é", "none": null}'
    )
    whole = {"a": [1, 2.5, True, "x"], "b": {}}
    assert json_of(whole, indent=1) == json.dumps(whole, indent=1)
