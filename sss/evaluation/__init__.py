"""Models and methods compared on labelled photos: records, statistics, the report."""
