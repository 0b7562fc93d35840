"""The minimal torch loop that reads packs and shows that they train."""

import os

# torch's threads spin while they wait; on a machine with other work (Ray's workers, say) that made a step of the small
# model take 3 to 6 s instead of 1.4 s. Asleep they cost nothing. Read when torch is loaded, so set before.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
