from undertow.training.diagnose import locate_nonfinite_gradient as locate_nonfinite_gradient
from undertow.training.ensemble import Ensemble as Ensemble
from undertow.training.fit import FitResult as FitResult
from undertow.training.fit import Progress as Progress
from undertow.training.optimizer import OptimizerConfig as OptimizerConfig
from undertow.training.optimizer import build_optimizer as build_optimizer
from undertow.training.trainer import Trainer as Trainer
from undertow.training.trainer import TrainState as TrainState
