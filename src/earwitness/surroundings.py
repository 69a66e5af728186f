"""What each moment of a long recording is relative to: the loudest moment shortly around it.

A clip's log-mel is relative to the clip's loudest moment (section 2.1). That of a night is one slammed door, beside
which all else is faint. So in a recording each frame is relative to what is around it, as in the clips that the model
has learnt from; but what does not stand out of the recording's own quiet is made no louder, or silence would roar.
"""

import numpy as np
import numpy.typing as npt

# All four by held-out clips with a quiet room between them: benchmarks/recordings.py, docs/log.md.
AROUND_SECONDS = 5.0
BESIDE_SECONDS = 0.5
_QUIET_SHARE = 0.1
_STANDS_OUT_DB = 6.0


def reference_db(loudest_db: npt.NDArray[np.float32], *, around: int, beside: int) -> npt.NDArray[np.float32]:
    """Return what each frame of a recording is relative to, (frames,) dB, by each frame's loudest band, (frames,) dB.

        reference[t] = max of loudest[t - around ... t + around]   where t stands out
                     = max of all of loudest                       elsewhere

    Of a recording no longer than `around` frames it is the same everywhere.
    """
    out = stands_out(running_max(loudest_db, beside))
    return np.where(out, running_max(loudest_db, around), loudest_db.max())


def stands_out(near_db: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return which frames are 6 dB above a recording's quiet, its quietest tenth, (frames,).

    By the loudest moment beside each frame, (frames,) dB: so what lies right beside a sound stands out with it.
    """
    return near_db >= np.quantile(near_db, _QUIET_SHARE) + _STANDS_OUT_DB


def running_max(values: npt.NDArray[np.float32], reach: int) -> npt.NDArray[np.float32]:
    """Return the largest of each value and of so many on both sides of it, (n,), at a cost that `reach` does not raise.

    Cut into blocks as long as a window, every window is the end of one block and the begin of the next (van Herk 1992).
    """
    reach = min(reach, len(values))
    window = 2 * reach + 1
    padded = np.pad(values, (reach, reach + -(len(values) + 2 * reach) % window), constant_values=-np.inf)
    blocks = padded.reshape(-1, window)
    begins = np.maximum.accumulate(blocks, axis=1).ravel()
    ends = np.maximum.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    return np.maximum(ends[: len(values)], begins[window - 1 : window - 1 + len(values)])
