"""Every figure that the service shows: as a picture, as its Vega-Lite specification and as text.

routes.py       HTTP: a training's losses and reliability, a catalog's plots
readers.py      figures, read from the database
selection.py    which users, movies and dimensions a figure shows
figures.py      the numbers and names of each figure
pictures.py     a figure as an HTTP answer, by Accept header or by suffix
drawing.py      the drawing process: pool, task and program
text.py         a figure as text
charts/         a figure as a chart

Does not know how embeddings and scores are computed.
"""
