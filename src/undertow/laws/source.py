"""Space-time sources."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray


class SineSource(eqx.Module):
    r"""$s(x,t) = \sum_i a_i \sin(\omega_i t + 2\pi k_i x / L + \phi_i)$, the same for every component.

    All four arrays have shape `(terms,)` and are leaves, so every sample of a batch can have its own source.
    """

    amplitudes: Float[Array, " terms"]
    frequencies: Float[Array, " terms"]
    wavenumbers: Float[Array, " terms"]
    phases: Float[Array, " terms"]
    length: float = eqx.field(static=True, default=1.0)

    def __call__(self, x: Float[Array, "*cells"], time: Float[Array, ""]) -> Float[Array, "*cells"]:
        """The source at positions `x` (first coordinate) and time `time`."""
        phase = self.frequencies * time + 2 * np.pi * self.wavenumbers * x[..., None] / self.length + self.phases
        return jnp.sum(self.amplitudes * jnp.sin(phase), axis=-1)


def random_source(
    key: PRNGKeyArray, amplitude: float | Float[Array, ""], *, num_terms: int = 20, length: float = 1.0
) -> SineSource:
    r"""A random source: $a_i = \tfrac12 A\,U(-1,1)$, $\omega_i \sim U(-10,10)$, $k_i \in \{\pm3,\dots,\pm6\}$,
    $\phi_i \sim U(0, 2\pi)$.

    **Arguments:** `key`; mean amplitude `amplitude` $A$; `num_terms` (20); domain length `length`.

    **Reference:** the source of the environments of arXiv 2203.08937's public code, after Bar-Sinai et al. (2019), SI.
    """
    ka, kw, kk, ks, kp = jax.random.split(key, 5)
    signs = jax.random.rademacher(ks, (num_terms,), dtype=float)
    return SineSource(
        amplitudes=0.5 * amplitude * jax.random.uniform(ka, (num_terms,), minval=-1.0, maxval=1.0),
        frequencies=jax.random.uniform(kw, (num_terms,), minval=-10.0, maxval=10.0),
        wavenumbers=signs * jax.random.randint(kk, (num_terms,), 3, 7),
        phases=jax.random.uniform(kp, (num_terms,), minval=0.0, maxval=2 * np.pi),
        length=length,
    )
