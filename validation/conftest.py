"""Validation runs under the settings, and with the fixtures, of the tests, but its programs are worth optimising."""

import jax

from tests.conftest import *  # noqa: F403

jax.config.update("jax_disable_most_optimizations", False)
