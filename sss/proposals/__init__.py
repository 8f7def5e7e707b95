"""Where rough masks of objects come from: files, Mask R-CNN."""
