"""A small language that reads like the class notebook: its lines run, and nothing else does.

    a = torch.tensor([i for i in range(25)]).reshape(5, 5)
    a[1:4, 1:4] = 5
    a.sum(axis=1)

A program is text that a grammar turns into a flat list of operations from one fixed table. There is no eval,
no attribute of Python's own, no string; time and memory are bounded before they are spent. Does not know
gradients or networks.

syntax/       from text to a list of operations
operations/   the table of operations
runtime/      runs a list of operations within limits
"""
