"""LeRobotDataset v3.0, in both directions.

layout.py     names of files and columns, info.json, tasks
metadata.py   the files of `meta/` of an existing data set
reader.py     a data set as a `Source`; columns.py converts its columns, video.py decodes
importer.py   `from_lerobot`
plan.py       which features the fields of a store become
frames.py     rows as frames: missing values; times.py checks or makes regular times
stats.py      the statistics that each episode and the data set have
files.py      data and episode files of limited size
exporter.py   `to_lerobot`

The files are written and read here, without the `lerobot` package, which needs PyTorch. The tests
open the written data sets with that package.
"""
