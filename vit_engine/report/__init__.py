"""Comparisons as people keep them: figures, pictures, tables, and the record to reproduce them.

Both the page Compare and the command line write with it.
"""
