"""What to believe of noisy clips: the estimates of the noise by classes and by sets of labels, made to agree.

Used by training, to label noisy clips, and by cleaning, to judge them.
"""

import numpy as np
from numpy.typing import NDArray

from . import calibration, labelsets, noiserates
from .labelsets import Clips, LabelModel, Shrinkage

Array = NDArray[np.float64]

# Factors on the log-odds of what is heard that are tried, and the steps of each fit.
_SHARPNESS = (1.0, 1.5, 2.0)
_SHARPENING_STEPS = 20
# Rates are fitted to so many clips times pairs of classes at most, the clips evenly spread: some minutes of one core.
# That is all of 250,000 clips of 200 classes, or 10,000 clips of 1,000.
_MOST_PAIRS = 5_000_000_000


def clips_of(heard: Array, given: NDArray[np.floating], context: Array, *, prior: float) -> Clips:
    """Returns what is known of clips from P(present | heard) (clips, classes) and the prior that is behind it.

    given (clips, classes); context (clips, contexts), of which there may be none. ValueError for what is otherwise.
    """
    noiserates.refuse_other_tables(heard, given)
    if np.ndim(context) != 2 or len(context) != len(heard):
        raise ValueError(f"context {np.shape(context)} must be (clips, contexts), as many clips as heard {heard.shape}")
    if not 0 <= prior <= 1:
        raise ValueError(f"prior is the share of tags that are present, from 0 to 1, not {prior}")
    prior_odds = calibration.log_odds(np.array([prior]))
    return Clips(calibration.log_odds(heard) - prior_odds, given.astype(np.float64), context)


def fit_sharpened(clips: Clips, heard: Array) -> tuple[Clips, LabelModel]:
    """Returns the clips with the log-odds of what is heard sharpened by one factor, and the model fitted to them.

    What is heard, P(present | heard) (clips, classes), is right for curated clips; in the noisy set the same odds may
    mean more or less. At what rate true labels were given is estimated twice: by the slope of given on heard, which
    needs no model of sets, and by the model, whose rate falls as the ear is trusted more. The factor is the one at
    which both agree. Of many clips and classes a part is fitted to.
    """
    count, classes = clips.given.shape
    pairs = count * max(1, classes * (classes - 1) // 2)
    some = clips.part(slice(None, None, -(-pairs // _MOST_PAIRS)))
    start = labelsets.begin(classes, contexts=clips.context.shape[1])
    kept = np.average(noiserates.estimate_noise_rates(heard, clips.given).kept, weights=heard.sum(axis=0) + 1e-12)

    def fitted(factor: float) -> tuple[LabelModel, float]:
        sharper = some._replace(heard_odds=factor * some.heard_odds)
        model = labelsets.fit(sharper, start, shrinkage=Shrinkage(), steps=_SHARPENING_STEPS)
        present = labelsets.believe(sharper, model).present
        # Where nothing at all is believed, as where nearly every class is given to every clip, no label was kept.
        return model, float((present * sharper.given).sum() / max(present.sum(), 1e-12))

    found = np.array([fitted(factor)[1] for factor in _SHARPNESS])
    order = np.argsort(found)
    factor = float(np.interp(kept, found[order], np.array(_SHARPNESS)[order]))
    return clips._replace(heard_odds=factor * clips.heard_odds), fitted(factor)[0]
