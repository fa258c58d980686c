"""The static site: notebooks, docstrings and measured files as pages; see build_site.py."""
