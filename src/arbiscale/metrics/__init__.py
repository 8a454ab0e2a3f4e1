"""Measures of images, each a function of tensors giving one value per image."""
