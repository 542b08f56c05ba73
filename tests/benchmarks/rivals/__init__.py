"""What the figures are compared with, in the same run on the same machine: each is what a good engineer would write."""
