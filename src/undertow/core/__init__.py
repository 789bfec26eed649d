"""The spine: closed loops of an environment and a policy, unrolled in time, and how the gradient travels back.

An environment steps a state and asks a policy for actions through a feedback law; `closed_loop` joins the two and is the
only place that stops or damps gradients; `unroll` repeats the step without keeping its insides; objectives turn a whole
trajectory into one number; gradient estimators turn that into a direction for the optimiser. Nothing here knows what
is simulated.
"""

from undertow._rooms import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
