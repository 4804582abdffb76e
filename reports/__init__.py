"""Self-contained HTML reports: tables, charts and prose in one file that fetches nothing.

`reports.pair.render` makes a page, `reports.pair.publish` puts it where it is served from, and
`reports.publish` does so for any page.
"""

from __future__ import annotations

from reports.publishing import Published, Summary, publish, published, rebuild_index

__all__ = ["Published", "Summary", "publish", "published", "rebuild_index"]
