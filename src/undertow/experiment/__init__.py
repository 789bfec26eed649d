"""The work behind the commands: train, go on, evaluate a run, draw its figures. Plain functions, for Python and notebooks.

Nothing here sets JAX's precision. What is measured has the default precision of the caller: call
`jax.config.update("jax_enable_x64", True)` first, as the command line does.
"""

from undertow.experiment.existing import evaluate_run, load_policy, load_run, plot_run
from undertow.experiment.imported import import_agent
from undertow.experiment.learned import Learned, learn
from undertow.experiment.reporting import Report, report_run
from undertow.experiment.run import Run, resume, train
from undertow.experiment.serving import ReportServer

__all__ = [
    "Learned",
    "Report",
    "ReportServer",
    "Run",
    "evaluate_run",
    "import_agent",
    "learn",
    "load_policy",
    "load_run",
    "plot_run",
    "report_run",
    "resume",
    "train",
]
