"""What was told in a shift and when it last was, and values that stand beside the right one without giving it away."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to remember. `form` names the values that can stand in for its own; `stale` are those it supersedes."""

    id: str
    kind: str
    form: str
    value: str
    stale: tuple[str, ...] = ()


class Told:
    """When each value was last shown, and when it last stood among candidates. A value is ripe `delay` steps after."""

    def __init__(self, delay: int) -> None:
        self.delay = delay
        self._last: dict[str, dict[str, int]] = defaultdict(dict)
        self._listed: dict[tuple[str, str], list[int]] = defaultdict(list)

    def tell(self, form: str, value: str, step: int) -> None:
        self._last[form][value] = step

    def shown(self, fact: Fact) -> int:
        """The step that last showed its value."""
        return self._last[fact.form][fact.value]

    def ripe(self, form: str, value: str, step: int) -> bool:
        return step - self._last[form].get(value, -self.delay) >= self.delay

    def beside(
        self, form: str, right: str, taken: Sequence[str], spare: Sequence[str], number: int, step: int, rng: Generator
    ) -> list[str]:
        """`number` values of the form to stand beside the right one, fewer where there are no more.

        None was shown in the last `delay` steps, like the right one. Those that stood among candidates as often as it
        in that time, and then in the whole shift, come first, so that counting does not tell; of equals those that were
        themselves told in this shift.
        """
        told = self._last[form]
        known = [value for value in told if value not in taken and self.ripe(form, value, step)]
        fresh = [value for value in spare if value not in told and value not in taken]
        pool = [*dict.fromkeys(known + fresh)]
        recent, ever = self._counts(form, right, step)
        order = []
        for place, i in enumerate(rng.permutation(len(pool))):
            now, always = self._counts(form, pool[i], step)
            order.append((abs(now - recent), abs(always - ever), pool[i] not in told, place, pool[i]))
        return [value for *_, value in sorted(order)[:number]]

    def list(self, form: str, values: Sequence[str], step: int) -> None:
        """Notes that these stood among candidates."""
        for value in values:
            self._listed[form, value].append(step)

    def _counts(self, form: str, value: str, step: int) -> tuple[int, int]:
        """How often a value stood among candidates in the last `delay` steps, and in the whole shift."""
        steps = self._listed[form, value]
        return len(steps) - bisect_right(steps, step - self.delay), len(steps)
