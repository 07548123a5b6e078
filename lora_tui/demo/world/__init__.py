"""A small world of shapes that is drawn by code: scenes, their pictures, their captions, and a judge of pictures.

The demo's base model is trained on it, the demo's datasets are drawn with its pens, and its judge tells without any
learning whether a picture shows what its caption says.
"""
