"""The wire formats: JSON and its casing live here and nowhere else.

v1.py and v2.py say which result makes which members of an object; request.py reads what came, merge.py lays results
over it.
"""
