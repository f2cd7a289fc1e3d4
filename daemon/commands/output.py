"""What commands print on standard output: JSON, and tables."""

import sys
from collections.abc import Sequence
from typing import Any

from daemon.wire.codec import encode


def print_json(value: Any) -> None:
    sys.stdout.write(encode(value, indent=2).decode() + "\n")


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their longest cell; the first row has the headings."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        sys.stdout.write("  ".join(map(str.ljust, row, widths)).rstrip() + "\n")
