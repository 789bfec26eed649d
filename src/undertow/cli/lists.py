"""The commands `list` and `info`."""

from __future__ import annotations

from undertow._checks import lookup, require
from undertow.catalogue import catalogue
from undertow.cli.parse import show_json
from undertow.store import machine


def names(arguments: list[str]) -> int:
    """List what there is to choose from."""
    kinds = catalogue()
    words, as_json = _words(arguments)
    if words and words[0] in ("-h", "--help"):
        print(
            f"usage: undertow list [--json] [{'|'.join(kinds)}]\n\nList what there is to choose from.\n\n"
            "  --json    print JSON: by kind, every name and a word about it"
        )
        return 0
    for word in words:
        lookup("list", word, kinds)
    chosen = {title: kinds[title] for title in words or kinds}
    if as_json:
        show_json(chosen)
        return 0
    for title, entries in chosen.items():
        print(f"{title}:")
        for name, about in entries.items():
            print(f"  {name:22}{about}".rstrip())
    return 0


def info(arguments: list[str]) -> int:
    """Show versions, machine and devices."""
    words, as_json = _words(arguments)
    if words and words[0] in ("-h", "--help"):
        print("usage: undertow info [--json]\n\nShow versions, machine and devices.\n\n  --json    print JSON")
        return 0
    require(not words, f"info takes no arguments but --json, got {' '.join(words)}")
    found = machine.info()
    if as_json:
        show_json(found)
        return 0
    for name, version in found["versions"].items():
        print(f"{name:12}{version}")
    device, git = found["device"], found["git"]
    print(f"{'platform':12}{found['platform']}, {found['cpu_count']} CPUs")
    print(f"{'device':12}{device['count']} x {device['kind']} ({device['platform']})")
    if git is not None:
        print(f"{'commit':12}{git['commit']}{', changed' if git['dirty'] else ''} ({git['of']})")
    return 0


def _words(arguments: list[str]) -> tuple[list[str], bool]:
    return [word for word in arguments if word != "--json"], "--json" in arguments
