"""What the plots show and how: every picture that the service draws, and its form for a terminal.

figures.py        the numbers and names of each figure
curves.py         loss curves, as charts
tables.py         the heatmap of embeddings and the score matrix
scatters.py       users and movies over two dimensions
labels.py         where the names of a scatter stand
reliability.py    the reliability diagram
fits.py           what a network predicts, against its targets and over its inputs
style.py          colours and sizes that all charts share
charts.py         the chart of any figure, as a Vega-Lite specification
terminal.py       any figure as text, from the three files below
braille.py        points and lines in braille characters
text_plots.py     curves and scatters as text
text_tables.py    the others as text

Does not know where a figure's numbers come from, nor who draws a specification.
"""
