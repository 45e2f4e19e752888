"""Logs as they are, for the Python engine: bytes of a log in, the events of the streams in it to a sink out.

A log has a *format*: how it holds streams. ``sse`` is server-sent events as they were sent; ``exchanges`` is JSON
lines, one request with its response a line; ``reads`` is JSON lines, one event or one read of the network a line;
``chunks`` is JSON without server-sent events. HAR files (``har``) and cassettes (``vcr``) are converted to lines of
exchanges.

`_recognise` tells the format by the head of a log, `_auto` makes a reader for it; `_lines`, `_names`, `_paths`,
`_strings` and `_elements` find things in JSON and know where they stand; `_reader`, `_chunks` and `_exchanges` are the
readers, and `_sinks` keeps exchanges apart.
"""
