"""AI2's decon (the wheel `decontaminate`, its Rust code with a Python call) over a folder of JSON lines.

    python decon_detect.py TEXTS_FOLDER ITEMS_FOLDER REPORT_FOLDER

One thread, else its defaults. It prints when the index is built and when the texts are read; the caller tells the
time by these lines.
"""

import sys

import decon


def main() -> None:
    """See the module."""
    texts, items, report = sys.argv[1:]
    print(f"decon {decon.__version__}", flush=True)
    decon.detect(decon.Config(training_dir=texts, evals_dir=items, report_output_dir=report, worker_threads=1))


if __name__ == "__main__":
    main()
