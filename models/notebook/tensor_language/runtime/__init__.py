"""Runs a program within its limits.

Does not know the grammar.

interpreter.py     runs a program
limits.py          what a program may use, and the count of what it has used
values.py          the values of the language, and how they are shown
plain_numbers.py   Python's numbers, bounded to 64 bits
signature.py       an operation's parameters
calls.py           one call's arguments, and what a run shares
errors.py          the errors of a program, with their position
"""
