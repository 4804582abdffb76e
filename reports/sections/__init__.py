"""Sections of report pages, one module each.

A section is a function from statistics and context to `reports.page.Section`. It names what it
cannot do without through `reports.page.need`; where that is undefined, the page shows the reason.
"""
