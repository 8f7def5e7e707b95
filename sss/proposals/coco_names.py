"""The classes of COCO's objects by their ids (Lin et al., ECCV 2014); some ids are not in use."""

from __future__ import annotations

_IN_ORDER = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, "
    "fire hydrant, , stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, "
    "bear, zebra, giraffe, , backpack, umbrella, , , handbag, tie, suitcase, frisbee, skis, "
    "snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, "
    "tennis racket, bottle, , wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, "
    "orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, , "
    "dining table, , , toilet, , tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, "
    "toaster, sink, refrigerator, , book, clock, vase, scissors, teddy bear, hair drier, toothbrush"
)

COCO_CLASSES = {
    number: name.strip()
    for number, name in enumerate(_IN_ORDER.split(","), start=1)
    if name.strip()
}
"""Id, 1 to 90 → name; 80 of them."""
