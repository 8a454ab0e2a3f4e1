"""Training: Lightning modules, one a stage, and one way to fit them."""
