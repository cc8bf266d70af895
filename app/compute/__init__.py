"""The class notebook's computations as requests, in processes that can be killed.

routes.py       HTTP: /v1/compute, the streams of losses and the plots of networks
process.py      the compute processes: pool, tasks and program
inputs.py       limits, variables, and refusals as problems with their place
programs.py     programs of the tensor language
gradients.py    gradients of its expressions
networks.py     the neuron and the multilayer perceptron
figures.py      what plots show of a network

Does not know how anything is differentiated or trained: models/notebook does.
"""
