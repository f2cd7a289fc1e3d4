"""The labels of all sets by the values of one of their columns, for `--by`."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from daemon.commands.evaluate.labels import Label, Picture

MOST_VALUES = 10
"""A column of more numbers than these is taken in four bands."""
BANDS = 4


class Groups:
    """Names a group for each value of a column; `names` has them in order, that of labels without a value last."""

    def __init__(self, column: str, labels: Iterable[Label]) -> None:
        self.column = column
        self._of_value = named({value for label in labels if (value := label.values.get(column))})
        self._without = f"no {column}"
        self.names = (*dict.fromkeys(self._of_value.values()), self._without)

    def of(self, label: Label) -> str:
        value = label.values.get(self.column)
        return self._of_value[value] if value else self._without

    def parts(self, picture: Picture) -> dict[str, Picture]:
        """By group, the picture as it counts there: the lines of other groups are ignored."""
        of_lines = [self.of(label) for label in picture.labels]
        return {name: Picture(picture.path, self._counting(picture.labels, name)) for name in dict.fromkeys(of_lines)}

    def split(self, pictures: Iterable[Picture]) -> bool:
        """Whether any picture has lines of several groups."""
        return any(len({self.of(label) for label in picture.labels}) > 1 for picture in pictures)

    def _counting(self, labels: Sequence[Label], name: str) -> tuple[Label, ...]:
        return tuple(label if self.of(label) == name else ignored(label) for label in labels)


def named(values: set[str]) -> Mapping[str, str]:
    """By value, in order, the name of its group: the value itself, or the band that a number lies in."""
    try:
        ordered = sorted(values, key=float)
    except ValueError:
        return {value: value for value in sorted(values)}
    if len(ordered) <= MOST_VALUES:
        return {value: value for value in ordered}
    bands = [list(band) for band in np.array_split(np.array(ordered), BANDS)]
    return {value: f"{band[0]} to {band[-1]}" for band in bands for value in band}


def ignored(label: Label) -> Label:
    return dataclasses.replace(label, values={**label.values, "ignore": "1"})
