"""Responses, and the scores that follow from them. Does not know how a model learns, nor when it is trained.

explanations.py    intervals, explanations and influences of scores
fast_path.py       routes whose plainest requests are answered ahead of FastAPI's dependency resolution
fast_scores.py     scores by the fast path: model in memory, posterior stored and current
fold_in.py         fitting a user's posterior to their responses, and storing it
memory.py          limits on the memory that catalogs, answers and trainings take
model_cache.py     the models and the movies' matrices in memory
movie_index.py     indexes of many movies, which name candidates for recommendations
posteriors.py      the reader of user posteriors, under both score paths
previews.py        scores from responses that come with the request
questions.py       the next question, by expected information gain
responses.py       storing, deleting and listing responses
routes.py          the routes
scores.py          scores by the regular path, and the format of all scores
"""
