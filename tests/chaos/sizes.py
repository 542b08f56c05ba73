"""How long the chaos tests go on: `CHAOS=short` (the default) for every change, `CHAOS=long` before a release."""

from __future__ import annotations

import os

IS_LONG = os.environ.get("CHAOS", "short") == "long"
SEEDS = [int(seed) for seed in os.environ.get("SEEDS", "1").split()]
