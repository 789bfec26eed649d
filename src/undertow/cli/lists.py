"""The commands `list` and `info`."""

from __future__ import annotations

from undertow._checks import lookup, require
from undertow.catalogue import catalogue
from undertow.training._machine import describe_machine, git_state


def names(arguments: list[str]) -> int:
    """List what there is to choose from."""
    kinds = catalogue()
    if arguments and arguments[0] in ("-h", "--help"):
        print(f"usage: undertow list [{'|'.join(kinds)}]\n\nList what there is to choose from.")
        return 0
    for word in arguments:
        lookup("list", word, kinds)
    for title in arguments or kinds:
        print(f"{title}:")
        for name, about in kinds[title].items():
            print(f"  {name:22}{about}".rstrip())
    return 0


def info(arguments: list[str]) -> int:
    """Show versions, machine and devices."""
    if arguments and arguments[0] in ("-h", "--help"):
        print("usage: undertow info\n\nShow versions, machine and devices.")
        return 0
    require(not arguments, f"info takes no arguments, got {' '.join(arguments)}")
    machine, git = describe_machine(), git_state()
    for name, version in machine["versions"].items():
        print(f"{name:12}{version}")
    device = machine["device"]
    print(f"{'platform':12}{machine['platform']}, {machine['cpu_count']} CPUs")
    print(f"{'device':12}{device['count']} x {device['kind']} ({device['platform']})")
    if git is not None:
        print(f"{'commit':12}{git['commit']}{', changed' if git['dirty'] else ''} ({git['of']})")
    return 0
