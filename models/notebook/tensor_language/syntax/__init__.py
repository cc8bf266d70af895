"""From the text of a program to its flat list of operations.

Does not know which operations exist, nor what they compute.

grammar.py         the grammar and its LALR(1) parser
parsing.py         text to a program, statement by statement
lowering.py        expressions to operations
trees.py           helpers for the nodes of the parse tree
syntax_errors.py   messages for text that does not parse
program.py         a parsed program: operations, loops, references
names.py           constants, dtypes and the prefixes torch. and np.
"""
