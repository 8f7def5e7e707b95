"""Edits of layers, and recipes of edits that can be replayed on other photos.

What soft layers are for (Aksoy et al. 2018, Sec. 6): edits of a part of a photo whose edges need no
mask drawn by hand.
"""
