"""One file per measurement. Each verifies every job and callback that it counts."""
