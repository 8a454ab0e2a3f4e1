"""Evaluation: what trained models draw of held-out photographs, measured row by row.

`held_out` supplies pictures, `protocols` and `pairs` make low resolutions of them, `rows` and `drawn` draw,
`super_resolution`, `generation` and `distributions` measure, with `networks` that may be missing. `scores`,
`intervals`, `comparisons` and `summary` are what comes out; `suite` runs it all.
"""
