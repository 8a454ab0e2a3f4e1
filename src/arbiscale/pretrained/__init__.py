"""Pretrained networks behind metrics and losses."""
