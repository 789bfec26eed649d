"""Where episodes start: conditions drawn from a pool, or made at random."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax

from undertow._checks import require
from undertow._tree import take
from undertow._types import Key
from undertow.envs.families import RANDOM_FAMILIES
from undertow.envs.truth import batches, common_form, count
from undertow.laws.burgers_conditions import burgers_condition
from undertow.laws.cases import Initial
from undertow.laws.conditions import AbstractCondition


class Pool(eqx.Module):
    """One of some conditions, each as likely as the others. **Arguments:** `conditions`: a batch, leading axis "cases"."""

    conditions: Initial

    def __call__(self, key: Key) -> Initial:
        """A condition."""
        size = count(self.conditions)
        return take(self.conditions, 0 if size == 1 else jax.random.randint(key, (), 0, size))


class Drawn(eqx.Module):
    """A condition of a random family, drawn anew each time. **Arguments:** `family`: a key of `RANDOM_FAMILIES`."""

    family: str = eqx.field(static=True)

    def __call__(self, key: Key) -> Initial:
        """A condition."""
        return RANDOM_FAMILIES[self.family](key)


class DrawnCondition(eqx.Module):
    """A named condition of Burgers' equation with random parameters. **Arguments:** `name`: one of `BURGERS_CONDITIONS`."""

    name: str = eqx.field(static=True)

    def __call__(self, key: Key) -> Initial:
        """A condition."""
        return burgers_condition(self.name, key=key)


def pool(conditions: Sequence[Initial]) -> Pool:
    """A pool of conditions. Raises `UndertowError` unless all of them fit one grid and one program."""
    forms = [
        common_form(each) if isinstance(each, AbstractCondition) and len(conditions) > 1 else each
        for each in conditions
    ]
    found = batches(forms)
    require(
        len(found) == 1,
        f"the cases of one game must share their domain and kind of boundary, and these {len(conditions)} do not; "
        "make a game of each",
    )
    return Pool(found[0][0])
