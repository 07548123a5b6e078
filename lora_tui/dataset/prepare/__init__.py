"""Preparing images for training: never in place, planned before it starts, to be interrupted at any time.

=================  ==========================================================================
``options``        what may be asked for
``geometry``       what becomes of sizes: parts, crops, padding; pure arithmetic
``names``          the names of what is written
``carried``        captions and masks that go with an image
``plan``           ``make_plan``: what will be made of each image, before any pixel is read
``pixels``         decoding: upright, first frame, sRGB
``subject``        where a crop should lie
``make``           the pictures of one image
``preview``        ``preview``: before and after of one image
``carry``          ``carry_out``: all of it, in processes (``crew``, ``worker``, ``wire``)
``work``           what is begun and done, on disk; ``report`` tells it
``places``         where it goes when nobody says; ``remembered``: what a project chose last
``parts``          whether optional parts are there: ``background``, ``faces``
``task``           the same in the background, for :mod:`lora_tui.tasks`
=================  ==========================================================================

Pillow is imported only inside functions; onnxruntime and rembg only in the worker's process.
"""
