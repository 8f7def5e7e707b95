"""Masks from image labels: class activation maps, AffinityNet, random walk, soft layers."""
