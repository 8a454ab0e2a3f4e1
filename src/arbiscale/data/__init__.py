"""From photographs to training samples: sources, crops, augmentation, data set."""
