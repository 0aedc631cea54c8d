"""Conversion between stores and other formats; `stream-store convert` is its command.

One import and one export serve all formats:

- A *source* (source.py) reads a format as episodes, in blocks of columns. `import_source`
  (importing.py) appends them to a store, whole episodes at a time; journal.py tells where to
  continue after a kill.
- An *exporter* is a function of a store and a path. exporting.py has what all of them need: a
  target that appears once it is complete, and the episodes of a store in blocks of rows.
- registry.py lists the formats, and detection.py recognises each one by its content. A format is
  imported only when it is used, because it needs optional packages.
- checking.py compares a source with the rows that were made from it, value by value.
"""
