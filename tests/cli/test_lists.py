"""`list` and `info` for machines."""

from __future__ import annotations

import json

from undertow import cli
from undertow.presets import PRESETS


def test_list_as_json(capsys):
    assert cli.main(["list", "presets", "integrators", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["presets", "integrators"]
    assert told["presets"] == {name: preset.description for name, preset in PRESETS.items()}


def test_info_as_json(capsys):
    assert cli.main(["info", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["versions"]["undertow"] and told["device"]["count"] >= 1 and "git" in told
