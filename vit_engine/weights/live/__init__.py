"""Modules in memory as checkpoints: read like files, asked what no tensor shows, and compared with what is made."""
