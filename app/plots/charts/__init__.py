"""Figures as Vega-Lite charts, made by altair in the drawing process.

chart.py          the chart of any figure, as a specification with its data
curves.py         loss curves
tables.py         the heatmap of embeddings and the score matrix
scatters.py       users and movies over two dimensions
labels.py         where the names of a scatter stand
reliability.py    the reliability diagram
fits.py           a network's predictions over targets and inputs
style.py          colours and sizes of all charts

Does not know where a figure's numbers come from.
"""
