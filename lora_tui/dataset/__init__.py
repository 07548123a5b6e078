"""Images: finding them, what is known of them, and how they become training images.

=================  ==========================================================================
``scan``           the images of folders, with repeats and captions; problems by name
``facts``          size, alpha, orientation and format from headers alone
``buckets``        the sizes trained at, and how an image fits into one
``batches``        the plan: which image is shown when; the same for plan, preview, trainer
``load``           pixels: an RGB image of exactly its bucket's size
``similar``        near-duplicates, by fingerprints that ``fingerprints`` keeps on disk
``verdicts``       which files cannot be decoded, kept on disk
``checks``         all that is wrong or doubtful, with remedies (``caption_checks``, ``pixel_checks``)
=================  ==========================================================================

Nothing here imports torch; Pillow is imported only inside functions that need pixels.
"""
