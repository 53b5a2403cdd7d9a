"""HTML pages of findings: parts of a page, and the page of several reports.

Everything lies in one file without a script that it needs, a font or an address: `parts` makes
tables, figures and details, `report_page` puts them together, `page.css` and `page.js` lie beside.
"""
