"""Learns from users' responses what each user likes, and scores items by it.

Users and items are rows of matrices. Does not know their ids, where data are stored, or who asks.

data.py           responses as a sparse matrix, and the items' vectors
trainer.py        the protocol of a trainer, and what it reports and returns
trainers.py       the trainers by name
class_model/      gradient_descent: embeddings in the items' own dimensions
mixed_effects/    mixed_effects: named and learned dimensions, by variational Bayes
devices.py        the processor, or a CUDA device
model.py          the protocol of a trained model: predictions, fold-in, explanations
scoring.py        logits, scores, and an exact search for the best items
shortlist.py      an approximate search for the best of millions of items, by a FAISS index
influence.py      which of a user's responses moved a score most
holdout.py        which responses a training holds out
trial.py          a training on a part of the responses, measured on the held-out rest
evaluation.py     computes metrics of scores and rankings on held-out responses
metrics.py        the metrics as values, without torch
"""
