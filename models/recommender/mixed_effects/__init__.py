"""Mixed-effects logistic regression with named and learned dimensions, by variational Bayes.

    z_um = b_m + e_u · φ_m,   φ_m = [1, x_m, q_m],   score = P(like) = σ(z_um)
    e_u ~ N(μ, Σ),   w_m = [b_m, q_m] ~ N(B·[1, x_m], T);   μ, Σ, B, T are learned too

priors.py           what users have in common, and items: μ, Σ, B, T, and how they follow from posteriors
blocks.py           responses cut into what a pass has in hand at once
users.py            the users' half-step: posteriors of e_u, given the items
items.py            the items' half-step: posteriors of w_m, given the users
half_steps.py       the two, range by range, here or elsewhere, and the order in which sums are added
logistic.py         what is expected of the logistic likelihood
fixed_point.py      a search for what an update leaves as it is
trainer.py          the two in turn until the bound stands still
reference.py        one user as one reads it, beside the fast path
relearning.py       one user alone, to the end of the half-step
predictor.py        logits of what was learned, and users anew with the items held where they are
terms.py            a few items in float64, and bounds of all in float32, to find the best among them
model.py            what is kept of a training, and what can be asked of it

Source of the bound: Opper and Archambeau (2009). docs/mathematics.md has the derivation.
"""
