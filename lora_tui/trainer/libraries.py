"""Libraries that are loaded without what a training never uses of them."""

from __future__ import annotations

import contextlib


def leave_scipy_out() -> None:
    """Have diffusers and transformers do without scipy: call it before anything else imports them.

    They load a sixth of all that a training imports (a second, and 56 MB) for noise levels by a beta distribution, LMS
    and the losses of object detection, none of which is used here. A version that asks otherwise loads it all the same.
    """
    with contextlib.suppress(ImportError, AttributeError):
        import diffusers.utils.import_utils as of_diffusers
        import transformers.utils as utils

        of_diffusers._scipy_available = False
        for module in (utils, utils.import_utils):
            module.is_scipy_available = lambda: False
