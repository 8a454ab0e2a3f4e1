"""From photographs to training samples: sources, crops, augmentation, data set."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network at import
