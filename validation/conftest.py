"""Validation runs under the settings, and with the fixtures, of the tests."""

from tests.conftest import reference_dir

__all__ = ["reference_dir"]
