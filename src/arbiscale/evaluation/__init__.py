"""Evaluation: what trained models draw of held-out photographs, measured row by row.

`protocols` says how tables are made, `pairs` what is drawn from what, `super_resolution` and `generation` who
draws it, `pictures` how pictures are measured and `distributions` sets of them, by `networks` that may not be
at hand, `scores` and `intervals` what comes out; `suite` runs it all.
"""
