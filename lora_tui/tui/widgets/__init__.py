"""Widgets that several screens share: they take data and post messages, and know no screen."""
