"""From photo to features: networks, checkpoints, and the reduction to three dimensions."""
