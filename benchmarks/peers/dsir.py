"""DSIR by its authors' package over JSON lines, in its own environment, in one process.

    python dsir.py RAW.jsonl TARGET.jsonl KEEP FOLDER OUT.json

Writes CPU and wall seconds of the parts, the log importance weights in the order of the raw documents, and which of
these were long enough to be drawn. The distribution of the raw texts is counted on all of them, as Gristmill counts.
"""

import json
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np
from data_selection import HashedNgramDSIR


def main() -> None:
    """See the module."""
    raw, target, keep, folder, out = sys.argv[1:]
    seconds = {}

    def timed(name: str, part: object, *args: object, **options: object) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        part(*args, **options)  # type: ignore[operator]
        seconds[name] = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}

    made = HashedNgramDSIR([raw], [target], cache_dir=folder, num_proc=1)
    timed("fit", made.fit_importance_estimator, num_tokens_to_fit="all")
    timed("weights", made.compute_importance_weights)
    timed("resample", made.resample, out_dir=f"{folder}/drawn", num_to_sample=int(keep), cache_dir=f"{folder}/cache")
    weights = np.load(Path(folder) / "log_importance_weights" / "0.npy")
    words = np.load(Path(folder) / "perexample_metadata" / "0.npy")
    found = {
        "seconds": seconds,
        "version": metadata.version("data-selection"),
        "weights": weights.tolist(),
        "long_enough": (words >= made.min_example_length).tolist(),
        "differences": made.log_diff.tolist(),
    }
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
