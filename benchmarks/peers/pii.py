"""datatrove's PIIFormatter over JSON lines {"text"}: prints one JSON line with seconds of each run.

Usage: python pii.py INPUT.jsonl OUTPUT.jsonl RUNS. Writes the masked texts.
"""

import json
import sys
import time
from importlib import metadata
from pathlib import Path

from datatrove.pipeline.formatters.pii import PIIFormatter

texts = [json.loads(line)["text"] for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
seconds = []
for _ in range(int(sys.argv[3])):
    formatter = PIIFormatter(email_replacement="<EMAIL>", ip_replacement="<IP>")
    start = time.perf_counter()
    out = [formatter.format(text) for text in texts]
    seconds.append(time.perf_counter() - start)
Path(sys.argv[2]).write_text("".join(json.dumps(text) + "\n" for text in out), encoding="utf-8")
print(json.dumps({"seconds": seconds, "versions": {"datatrove": metadata.version("datatrove")}}))
