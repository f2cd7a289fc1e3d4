"""The wire formats: JSON and its casing live here and nowhere else.

v1.py and v2.py say which result makes which members of an object and how the members that requests bring are read, with
members.py for what both have in common; request.py reads what came, merge.py lays results over it.

>>> import numpy as np
>>> from daemon.wire.v2 import V2
>>> from daemon.wire.version import written
>>> from processors.age import Age
>>> from processors.types import Box, Frame, Object, Sample
>>> face = Object("face", np.array([64.0, 36.0, 192.0, 180.0]))
>>> face.put(Age(31.4))
>>> sample = Sample(Frame.of(np.zeros((360, 640, 3), np.uint8)), [face])
>>> written(V2, sample, sample.objects, emits={Box, Age})
[{'id': 0, 'class': 'face', 'age': '31', 'bbox': [0.1, 0.1, 0.3, 0.5]}]
"""
