"""Comparisons as people keep them: figures, pictures, tables, and the record to reproduce them.

Between the engine, which computes, and the dashboard, which shows: both the page Compare and the command line
write with it. One file needs Plotly, figure.py; sheets are painted with Matplotlib.
"""
