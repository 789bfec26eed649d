r"""The configuration of a run: nested dataclasses of plain values, which are also the command line.

Every field is a flag (`grid.num_cells` is `--grid.num-cells`), the line under it its help, its value the default. A
configuration is plain data: it holds names and numbers, never arrays or objects, goes to JSON and back, and can be
compared. `undertow.assembly` makes the objects.

Families of tasks have a configuration class each: a subclass of `Config`, which holds what all of them share, with the
fields of its own kind, entered in `FAMILIES`.
"""

from undertow.config.base import CheckpointConfig, Config, EvaluationBase, GradientName, Precision, TrainingConfig
from undertow.config.control import (
    CONTROL_CONFIGS,
    ControlConfig,
    ControlDataConfig,
    ControlEvaluationConfig,
    ControllerConfig,
    control_config,
)
from undertow.config.files import NamedConfig, load_config, run_config
from undertow.config.plain import FAMILIES, config_from_dict, config_to_dict, own_files, validate_config
from undertow.config.scheme import (
    DataConfig,
    EvaluationConfig,
    GridConfig,
    LawConfig,
    ObjectiveConfig,
    PolicyConfig,
    SchemeConfig,
)

__all__ = [
    "CONTROL_CONFIGS",
    "FAMILIES",
    "CheckpointConfig",
    "Config",
    "ControlConfig",
    "ControlDataConfig",
    "ControlEvaluationConfig",
    "ControllerConfig",
    "DataConfig",
    "EvaluationBase",
    "EvaluationConfig",
    "GradientName",
    "GridConfig",
    "LawConfig",
    "NamedConfig",
    "ObjectiveConfig",
    "PolicyConfig",
    "Precision",
    "SchemeConfig",
    "TrainingConfig",
    "config_from_dict",
    "config_to_dict",
    "control_config",
    "load_config",
    "own_files",
    "run_config",
    "validate_config",
]
