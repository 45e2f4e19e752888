"""Clients that people use, made faster without a change to what they give: a module for each, imported only when asked
for.

`chunkwire.adapters.openai` is for openai-python, `chunkwire.adapters.httpx_sse` for httpx-sse, and
`chunkwire.adapters.sseclient` for sseclient-py.
"""
