"""The grids of arXiv 2405.02041 and others of their kind: which trainings the comparisons consist of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from undertow._checks import Within, choice, lookup, whole_number
from undertow.config import Config, ControlConfig, GradientName, SchemeConfig
from undertow.config.fields import with_fields
from undertow.presets import preset
from undertow.tasks import TASKS

Flow = Literal[
    "regular",
    "modified",
    "combined",
    "one-step",
    "policy-only",
    "swapped",
    "tensor",
    "soft",
    "projected",
    "balanced",
    "evolution",
    "truncated",
]
FLOWS: dict[str, GradientName] = {
    "regular": "full",
    "modified": "physics",
    "combined": "sign-agreement",
    "one-step": "stop",
    "policy-only": "policy",
    "swapped": "sign-agreement-swapped",
    "tensor": "tensor-agreement",
    "soft": "soft-agreement",
    "projected": "conflict-projection",
    "balanced": "norm-balanced",
    "evolution": "evolution-strategy",
    "truncated": "full",
}
"""The paper's names of the updates (the first four), what else there is, and our names of the estimators. `truncated` is
backpropagation in windows of a tenth of the horizon."""

EPOCHS = Within(at_least=1, at_most=1_000_000)
"""Up to a thousand times what was published."""

Clip = Literal["norm", "none", "value"]
CLIPS: tuple[Clip, ...] = ("norm", "none", "value")


@dataclass(frozen=True)
class Trial:
    """One setting of a grid, trained with several seeds.

    `panel`: where it is drawn; `line`: which curve it is there; `clip`: gradient clipping; `config`: all of it; `epoch`:
    updates in one pass over the data.
    """

    panel: str
    line: str
    clip: str
    config: Config
    epoch: int

    @property
    def name(self) -> str:
        """A plain word for files."""
        return "_".join(part.replace(" ", "-") for part in (self.panel, self.line, self.clip))


@dataclass(frozen=True)
class Panels:
    """A task's panels, the published number of epochs, that of a quick look, and updates per epoch (None: as many as pass
    over the training states once)."""

    panels: Mapping[str, Config]
    epochs: int
    quick_epochs: int
    updates: int | None = None


def _control(name: str) -> Panels:
    """The comparison that a control task states."""
    base, stated = preset(name).config, TASKS[name].comparison
    panels = {panel: with_fields(base, values) for panel, values in stated.panels.items()}
    return Panels(panels, stated.epochs, stated.quick_epochs)


def _crossover() -> Panels:
    """Learned schemes over long horizons: every estimator on the other family's task."""
    base: Any = preset("burgers").config
    panels = {
        f"{steps} steps": dataclasses.replace(
            base,
            grid=dataclasses.replace(base.grid, num_cells=32, steps=steps, end_time=0.005 * steps),
            data=dataclasses.replace(base.data, pool=64),
            optimizer=dataclasses.replace(base.optimizer, schedule="constant", learning_rate=3e-3),
            training=dataclasses.replace(base.training, batch=4),
            evaluation=dataclasses.replace(base.evaluation, cases=16, keep_by="objective"),
        )
        for steps in (40, 160, 640)
    }
    return Panels(panels, 20, 2, updates=10)


COMPARISONS: dict[str, Callable[[], Panels]] = {
    **{name: partial(_control, name) for name in TASKS},
    "crossover": _crossover,
}
"""The grid of every comparison, by name: those of the control tasks, and `crossover`, learned schemes over long horizons."""


def grid(
    task: str,
    *,
    flows: Sequence[str] = ("regular", "modified", "combined", "one-step"),
    clips: Sequence[Clip] = CLIPS,
    panels: Sequence[str] = (),
    epochs: int | None = None,
    quick: bool = False,
) -> list[Trial]:
    """The trials of a task's published grid, panel by panel.

    **Arguments:** `task` out of `COMPARISONS`; `flows` out of `FLOWS`; `clips` out of `CLIPS`; `panels`: some of them (default:
    all); `epochs`: instead of the published number; `quick`: the first and the last panel, clipping by norm, few epochs.

    **Raises:** `UndertowError` for a name that is not there, or fewer than 1 epoch.
    """
    made = lookup("task", task, COMPARISONS)()
    for panel in panels:
        lookup("panel", panel, made.panels)
    chosen = tuple(panels) or tuple(made.panels)
    if quick:
        chosen = tuple(panels) or (chosen[0], chosen[-1])
        clips = tuple(clip for clip in clips if clip == "norm") or clips
    epochs = (made.quick_epochs if quick else made.epochs) if epochs is None else epochs
    epochs = whole_number("epochs", epochs, EPOCHS)
    trials = []
    for panel in chosen:
        for clip in clips:
            choice("clipping", clip, CLIPS)
            for flow in flows:
                base = made.panels[panel]
                epoch = made.updates or _pass(base)
                config = dataclasses.replace(
                    base,
                    gradient=lookup("flow", flow, FLOWS),
                    window=_horizon(base) // 10 if flow == "truncated" else None,
                    optimizer=dataclasses.replace(base.optimizer, clip=clip),
                    training=dataclasses.replace(base.training, updates=epochs * epoch, dispatch=epoch),
                )
                trials.append(Trial(panel, flow, clip, config, epoch))
    return trials


def _pass(config: Config) -> int:
    assert isinstance(config, ControlConfig)
    return -(-config.data.train // config.training.batch)


def _horizon(config: Config) -> int:
    return config.grid.complete().steps if isinstance(config, SchemeConfig) else config.horizon  # type: ignore[attr-defined]
