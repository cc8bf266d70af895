"""What requests compute, in processes that may be killed: never in the web process.

limits.py      how much one computation may use
pool.py        the processes that compute
worker.py      the program that each of them runs
tasks.py       what can be asked of it, and how it refuses
refusals.py    what is refused, as problems at their place
inputs.py      what a program is given
programs.py    the tensor language
gradients.py   gradients of its expressions
networks.py    the neuron and the multilayer perceptron
figures.py     what plots show of a network

Does not know HTTP.
"""
