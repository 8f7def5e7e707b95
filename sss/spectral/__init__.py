"""The spectral core: photo and 3-D features to soft layers, on NumPy and SciPy alone.

One file per mathematical object, in the order of use: superpixels, affinities, laplacian,
eigenvectors, constrained, grouping, relaxed; ``spectral_matting`` is the baseline the paper
compares with. Photos are (H, W, 3) float64 in [0, 1]; pixel ``row·W + column`` is entry number
``row·W + column`` of every vector and matrix; soft layers are (H, W, K).
"""
