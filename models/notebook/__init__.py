"""The computations of the class notebook.

Does not know the recommender, nor how long a computation may take: whoever runs one bounds it.

neuron.py          one sigmoid neuron, trained as the notebook does; what all networks share
mlp/               fully connected networks, trained on points and targets
autograd/          value, gradient and Hessian of a scalar program
tensor_language/   programs that read like the notebook's cells
"""
