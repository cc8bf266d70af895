"""Files of movies and responses, read, checked and stored as a whole. Does not know what they are for.

routes.py          the endpoints `…/movies:import` and `…/responses:import`
file_format.py     formats of import files by their media types, and what an import answers
process.py         one import: which file into which catalog, in one transaction
formats.py         the readers by format: their columns, and their rows in checked batches
csv_text.py        CSV and other separated text, in blocks of whole lines
ndjson.py          a JSON object a line, as strict as the JSON bodies
parquet.py         Parquet files, read by another process
parquet_reader.py  the program of that process
movielens.py       the folders that GroupLens publishes
validation.py      what a row of an import must be: one table of rules, which every format reads
store.py           storing the rows of whole files, all of them or none
bulk_insert.py     where the rows go: one by one into SQLite, by COPY into PostgreSQL
"""
