"""Value, gradient and Hessian of a scalar program of the tensor language.

Does not know the language's grammar or its operations.

gradient.py            what is asked of an expression, and the answer
scalar_function.py     a program as a function of some of its variables, and its backward pass
differences.py         central differences, to check gradients
computation_graph.py   the graph of backward, in the order of its visits
"""
