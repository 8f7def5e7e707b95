"""The report of an evaluation: tables, plots, gallery, one page."""
