"""The pages that people see, put together.

They need no script, and their policy allows none; everything that comes from a repository is escaped, and its card goes
through :mod:`enfold.hubserver.web.markdown`.
"""

from __future__ import annotations

from enfold.hubserver.routes.call import Routes
from enfold.hubserver.web import discussions, files, history, layout, lists, repo, settings, spaces, tries, viewer
from enfold.hubserver.web.layout import error_page

__all__ = ["error_page", "repository", "top"]

top, repository = Routes(), Routes()

for _table in (lists.top, layout.static):
    top.table.update(_table.table)
for _part in (repo, files, history, discussions, settings, viewer, spaces, tries):
    repository.table.update(_part.repository.table)
