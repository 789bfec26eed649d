"""Validation runs under the settings, and with the fixtures, of the tests, but its programs are worth optimising."""

from tests.conftest import *  # noqa: F403
from tests.conftest import switch

switch(False)
