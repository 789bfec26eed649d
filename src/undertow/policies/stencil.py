r"""Learned stencil weights: normalise, network, softmax."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from undertow._checks import Within, real_number, require_positive
from undertow._types import Key
from undertow.core.policy import AbstractPolicy
from undertow.numerics.stencil import softmax_last, unstack
from undertow.policies.network import MLP
from undertow.policies.normalise import smooth_z_score, z_score
from undertow.schemes.coefficients import substencil_width
from undertow.schemes.faces import Stencils, Weights
from undertow.schemes.weights import EPSILON, WenoZ, global_smoothness, normalised, smoothness


class AbstractStencilPolicy(AbstractPolicy):
    r"""Weights from a network that looks at stencils, $w = W(q, N(x(q)))$, in three parts that can be had one by one.

    - `features`: $x$, what the network sees. What is one row of it, is one agent.
    - `network`: $N$. With a `bound` $B$ its outputs are taken as $B\tanh(N / B)$.
    - `weighted`: $W$, the stencil weights that follow from the outputs.

    Whoever has another idea of the outputs, a reinforcement learner that explores for one, replaces the middle.
    """

    network: MLP
    order: int = eqx.field(static=True)
    noise: float = eqx.field(static=True)
    bound: float | None = eqx.field(static=True)

    def features(self, stencil: Float[Array, "2 *sites stencil"]) -> Float[Array, "*agents in"]:
        """What the network sees of the stencils of one axis."""
        raise NotImplementedError

    def weighted(
        self, stencil: Float[Array, "2 *sites stencil"], outputs: Float[Array, "*agents out"]
    ) -> Float[Array, "2 *sites r"]:
        """The weights of both directions from the network's outputs, after the bound."""
        raise NotImplementedError

    def bounded(self, outputs: Float[Array, "*agents out"]) -> Float[Array, "*agents out"]:
        """The network's outputs within the bound."""
        return outputs if self.bound is None else self.bound * jnp.tanh(outputs / self.bound)

    def __call__(self, observation: Stencils, *, key: Key | None = None) -> Weights:
        """Weights for every axis; with a key, normal noise of standard deviation `noise` is added to the outputs."""
        out = []
        for axis, stencil in enumerate(observation):
            outputs = self.bounded(self.network(self.features(stencil)))
            if key is not None and self.noise > 0:
                draw = jax.random.normal(jax.random.fold_in(key, axis), outputs.shape, outputs.dtype)
                outputs = outputs + self.noise * draw
            out.append(self.weighted(stencil, outputs))
        return tuple(out)


class PairedPolicy(AbstractStencilPolicy):
    r"""The published agent: sees both stencils of a face and sets both weight vectors,

    $$(w^+, w^-) = \operatorname{softmax}\,N\big(z(f^+), z(f^-)\big),$$

    with the z-score $z$ over each stencil, a multi-layer perceptron $N$ of $2(2r-1)$ inputs and $2r$ outputs, and a softmax
    over each direction's $r$ logits. One network for all faces, components and axes.

    **Arguments:** `key`; `order` (default 5); `hidden` widths (default 128, 128: 18,694 parameters at order 5); `activation`
    (default `relu`); `noise`: standard deviation of normal noise on the logits, added only when a key is passed at the call;
    `first_scale` (default 1): factor on the last layer's first weights. On shock tubes some random policies are
    unstable at once; below 1 they start closer to equal weights, which are not; `bound` of the logits (default none).

    The published z-score divides by $\sigma + 10^{-10}$: where a stencil is constant its derivative is $10^{10}$ and true for
    changes below $10^{-10}$ alone, which is of no use. `DirectionalPolicy` is differentiable there.

    **Reference:** Way et al. (2022), arXiv 2203.08937, section 4.
    """

    def __init__(
        self,
        *,
        key: Key,
        order: int = 5,
        hidden: tuple[int, ...] = (128, 128),
        activation: str = "relu",
        noise: float = 0.0,
        first_scale: float = 1.0,
        bound: float | None = None,
    ):
        r = substencil_width(order)
        _check(noise, bound)
        real_number("first_scale", first_scale, Within(at_least=0))
        network = MLP((2 * order, *hidden, 2 * r), key=key, activation=activation)
        last = network.kernels[-1] * first_scale
        self.network = eqx.tree_at(lambda n: n.kernels[-1], network, last)
        self.order, self.noise, self.bound = order, noise, bound

    def features(self, stencil: Float[Array, "2 *sites stencil"]) -> Float[Array, "*sites in"]:
        """Both stencils' z-scores, the right-going one first: one agent per face and component."""
        z = z_score(stencil)
        return jnp.concatenate([z[0], z[1]], axis=-1)

    def weighted(
        self, stencil: Float[Array, "2 *sites stencil"], outputs: Float[Array, "*sites out"]
    ) -> Float[Array, "2 *sites r"]:
        """The softmax of each direction's half."""
        plus, minus = jnp.split(outputs, 2, axis=-1)
        return jnp.stack([_softmax(plus), _softmax(minus)])


class DirectionalPolicy(AbstractStencilPolicy):
    r"""One stencil in, one weight vector out, shared by both directions, all faces, components and axes:

    $$w_k \propto (\omega_k + g\,\delta)\; e^{\,g\,N_k(z(f))}, \qquad
      g = \frac{\tau^2}{\tau^2 + \kappa^2 (\textstyle\sum_m \beta_m + \varepsilon^2)^2},$$

    with the WENO-Z weights $\omega$, the smoothness indicators $\beta$ and the global one $\tau$. The gate $g \in [0, 1)$ is
    $O(\Delta x^6)$ at order 5 where the data are smooth and not critical, so there the scheme *is* WENO-Z and keeps its order
    whatever the network says; at jumps and kinks $g$ is of order one and the network decides ($\delta$ bounds what it has to
    overcome). The last layer starts at zero: training starts next to WENO-Z. With `prior=False`,
    $w = \operatorname{softmax} N(z(f))$, and nothing is known before training.

    Because left-going stencils arrive mirrored, the scheme is symmetric under reflection by construction. $z$ is the smooth
    z-score $(f - \bar f)/\sqrt{\sigma^2 + \varepsilon^2}$: all of it is differentiable at constant states.

    **Arguments:** `key`; `order` (default 5); `hidden` widths (default 16, 16); `activation` (default `relu`); `prior`
    (default True); `noise` as in `PairedPolicy`; `epsilon` $\varepsilon$ (default 1e-2), in units of the
    flux: variations well below it are left to WENO-Z, so smooth extrema are, too; `threshold` $\kappa$ (default 0.1);
    `freedom` $\delta$ (default 1); `bound` of the network's outputs (default none).

    **Reference:** this project; WENO-Z as in [`WenoZ`][undertow.schemes.weights.WenoZ].
    """

    prior: WenoZ | None
    epsilon: float = eqx.field(static=True)
    threshold: float = eqx.field(static=True)
    freedom: float = eqx.field(static=True)

    def __init__(
        self,
        *,
        key: Key,
        order: int = 5,
        hidden: tuple[int, ...] = (16, 16),
        activation: str = "relu",
        prior: bool = True,
        noise: float = 0.0,
        epsilon: float = 1e-2,
        threshold: float = 0.1,
        freedom: float = 1.0,
        bound: float | None = None,
    ):
        r = substencil_width(order)
        _check(noise, bound)
        for name, value in (("epsilon", epsilon), ("threshold", threshold), ("freedom", freedom)):
            require_positive(name, value)
        self.network = MLP((order, *hidden, r), key=key, activation=activation, zero_last=prior)
        self.prior = WenoZ(order, EPSILON) if prior else None  # beside its own epsilon, which is a number too
        self.order, self.noise, self.bound = order, noise, bound
        self.epsilon, self.threshold, self.freedom = epsilon, threshold, freedom

    def features(self, stencil: Float[Array, "*sites stencil"]) -> Float[Array, "*sites stencil"]:
        """The smooth z-score: one agent per face, component and direction."""
        return jnp.stack(smooth_z_score(unstack(stencil), epsilon=self.epsilon), axis=-1)

    def weighted(
        self, stencil: Float[Array, "*sites stencil"], outputs: Float[Array, "*sites r"]
    ) -> Float[Array, "*sites r"]:
        """The prior's weights, changed where the gate is open; without a prior the softmax."""
        learned = unstack(outputs)
        if self.prior is None:
            return jnp.stack(softmax_last(learned), axis=-1)
        betas = smoothness(stencil, self.order)
        ratio = global_smoothness(betas) / (sum(betas[1:], betas[0]) + self.epsilon**2)
        gate = ratio**2 / (ratio**2 + self.threshold**2)
        classical = normalised(self.prior.unnormalised(betas))
        powers = [(w + self.freedom * gate) * jnp.exp(gate * n) for w, n in zip(classical, learned, strict=True)]
        return jnp.stack(normalised(powers), axis=-1)

    def weights(self, stencil: Float[Array, "*sites stencil"]) -> Float[Array, "*sites r"]:
        """The weights of one direction, as a classical scheme gives them."""
        return self.weighted(stencil, self.bounded(self.network(self.features(stencil))))


def _check(noise: float, bound: float | None) -> None:
    real_number("noise", noise, Within(at_least=0))
    if bound is not None:
        require_positive("bound", bound)


def _softmax(logits: Float[Array, "*sites r"]) -> Float[Array, "*sites r"]:
    return jnp.stack(softmax_last(unstack(logits)), axis=-1)
