"""The table of operations: what is not in it, a program cannot do.

An operation is a row: signature, description, example, what it allocates, what computes it. Does not know
the grammar or the text of a program.

table.py         the form of a row
operations.py    all rows, by name
creation.py      tensors from lists, ranges and random numbers
arithmetic.py    operators and matrix products
elementwise.py   exp, sigmoid and the like
reductions.py    sums, extremes, norms
shaping.py       shapes, and attributes such as a.T
conversions.py   tensors to plain numbers, and element types
indexing.py      parts of tensors and lists
"""
