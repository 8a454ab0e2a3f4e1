"""Models over HTTP, within limits."""
