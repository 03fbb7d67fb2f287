"""What was told in a shift and when it last was, and values that stand beside the right one without giving it away."""

from collections import defaultdict, deque
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
        self._listed: dict[str, deque[int]] = defaultdict(deque)

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
        in that time come first, so that counting does not tell; then those that were themselves told in this shift.
        """
        told = self._last[form]
        known = [value for value in told if value not in taken and self.ripe(form, value, step)]
        fresh = [value for value in spare if value not in told and value not in taken]
        pool = [*dict.fromkeys(known + fresh)]
        count = self._recent(form, right, step)
        order = sorted(
            (abs(self._recent(form, pool[i], step) - count), pool[i] not in told, place, pool[i])
            for place, i in enumerate(rng.permutation(len(pool)))
        )
        return [value for *_, value in order[:number]]

    def list(self, form: str, values: Sequence[str], step: int) -> None:
        """Notes that these stood among candidates."""
        for value in values:
            self._listed[f"{form}\0{value}"].append(step)

    def _recent(self, form: str, value: str, step: int) -> int:
        steps = self._listed[f"{form}\0{value}"]
        while steps and steps[0] <= step - self.delay:
            steps.popleft()
        return len(steps)
