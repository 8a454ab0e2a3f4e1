"""Models over HTTP, within limits, and the page on which people look into pictures."""
