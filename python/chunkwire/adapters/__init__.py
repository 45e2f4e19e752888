"""Clients that people use, made faster without a change to what they give: a module for each, imported only when asked
for.

`chunkwire.adapters.openai` is for openai-python.
"""
