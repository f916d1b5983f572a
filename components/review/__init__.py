"""People look at the pictures that teach the most, and what they say becomes labels.

`select` hands pictures out, `export` and `serve` show them to people, `import` takes back what they drew, finds the consensus,
and keeps `<storage>/review/dataset/reviewed` up to date, which `belisha acquire` reads as one more source:

    belisha acquire old_data/ <storage>/review/dataset/reviewed --out data

Give it last: of a picture that stands in several sources the labels of the first are kept. Its pictures carry a group of their
own (one camera's pictures of one clock hour), so `belisha split-data --storage` gives each a part by the hash of its group and
never moves it again. Whoever judges models by reviewed pictures reads them with `components/shared/review_queue.py`.
"""
