"""Photos with region masks: dataset adapters, procedural scenes, training views.

Every dataset is map-style: ``dataset[i]`` gives ``(photo, labels)`` where ``photo`` is
(H, W, 3) uint8 sRGB and ``labels`` is (A, H, W) int32, one map per annotator, ``-1`` where
nobody knows which region a pixel belongs to. A dataset that splits things by instance says with
``things(i)`` which labels they are. ``sss.data.sources.open_source`` opens one by name.
"""
