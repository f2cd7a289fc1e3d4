"""`visaged completion`: a script by which a shell completes commands and options.

It is made from the parser once, by shtab, and is all there is at run time: a shell that asked visaged itself at each
Tab would wait for Python to start.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """`shell`: bash, zsh or fish."""
    for action in _actions(parser):
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return f"{shtab.complete(parser, shell)}\n"


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Those of its commands too."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
