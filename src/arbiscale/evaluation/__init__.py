"""Evaluation: what trained models draw of held-out photographs, measured row by row.

`crops` says what is drawn, `super_resolution` and `generation` who draws it, `pictures` how pictures are
measured, `scores` what comes out.
"""
