"""Memory is planned, not discovered: what a run will take, and what there is."""
