"""Validation runs under the settings, and with the fixtures, of the tests."""

from tests.conftest import *  # noqa: F403
