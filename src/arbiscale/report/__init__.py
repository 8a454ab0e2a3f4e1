"""An evaluation as one HTML page that needs nothing else: no network, no other file.

`measures` knows what metrics are called, `table` and `figures` what is shown of the numbers, `charts` and
`svg` how it is drawn, `pictures` which pictures are shown, `facts` where all of it came from;
`document` puts it into `page.html.jinja`, with `page.css` and `page.js`.
"""
