"""Long work on datasets beside trainings: tagging and preparing, each in a process of its own under a keeper.

A task is a folder with what was asked for (``task.json``) and the files that the keeper, the events and the control
requests of :mod:`lora_tui.jobs` write; terminals only look at it.
"""
