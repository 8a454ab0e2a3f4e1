"""Losses, each a function of tensors or a frozen network."""
