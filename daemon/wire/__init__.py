"""The wire formats: JSON and its casing live here and nowhere else.

v1.py and v2.py say which result makes which members of an object and how the members that requests bring are read, with
members.py for what both have in common; request.py reads what came, merge.py lays results over it.
"""
