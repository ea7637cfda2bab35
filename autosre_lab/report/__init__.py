"""One report of everything measured, as HTML and JSON."""
