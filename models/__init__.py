"""What is computed: numbers in, numbers out.

Knows torch. Does not know HTTP, SQL, files, or the ids of users and movies.

errors.py      errors that both halves raise
options.py     options that refuse a value outside its range, naming the range
recommender/   learns from responses what each user likes, and scores items
notebook/      the computations of the class notebook: tensor programs, gradients, small networks

The two halves do not import each other.
"""
