"""Mixed-effects logistic regression with named and learned dimensions, by variational Bayes.

    z_um = b_m + e_u · φ_m,   φ_m = [1, x_m, q_m],   score = P(like) = σ(z_um)
    e_u ~ N(μ, Σ),   w_m = [b_m, q_m] ~ N(B·[1, x_m], T);   μ, Σ, B, T are learned too

docs/mathematics.md has the derivation; the bound is that of Opper and Archambeau (2009). Does not know
where responses come from, nor on how many machines it learns.

trainer.py            coordinate ascent: users and items in turn until the bound stands still
coordinate_updates.py one update of all users or all items, range by range, and the order of summation
users.py              the users' update: posteriors of e_u given the items
items.py              the items' update: posteriors of w_m given the users
priors.py             μ, Σ, B, T, and their update from the posteriors
logistic.py           expectations of the logistic likelihood under a normal logit
blocks.py             responses in blocks and padded batches
fixed_point.py        fixed-point iteration with Anderson acceleration
standardisation.py    item vectors with mean 0 and standard deviation 1
reference.py          one user's posterior, written to be read; tests hold the fast path to it
fold_in.py            fold-in: one user's posterior with the items held
predictor.py          means and variances of logits, and fold-in, from the learned parameters
terms.py              few items in float64, and float32 bounds of all, for the search of the best
model.py              the trained model
"""
