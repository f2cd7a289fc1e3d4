"""JSON Schemas of what is written, and the AsyncAPI of the topics that it goes to.

Both are made from the types of the functions that write: mypy holds what they return to these types.
"""
