"""The filter language: ``parse_query(text).select(corpus, context)``. Knows captions by a protocol, and no images."""
