"""Evaluation: what trained models draw of held-out photographs, measured row by row.

`held_out` supplies pictures, `protocols` and `pairs` make low resolutions of them, `rows` draw,
`super_resolution`, `trade_off` and `generation` measure, with `networks` that may be missing, and
`store` keeps every picture's scores as they are made. `plan` says what is measured, `suite` reads what
was: `scores`, `sets`, `intervals`, `comparisons` and `summary`.
"""
