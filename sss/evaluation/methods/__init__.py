"""Methods of segmentation that can be compared: ours, its ablations, and the baselines."""
