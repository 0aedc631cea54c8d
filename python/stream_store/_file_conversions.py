"""Conversions from and to MCAP, Minari, HDF5 and Zarr, as methods of StreamStore.

Each method is a few lines: the work is in `_convert`, which is imported on use, because it needs
optional packages.

Examples assume ``import numpy as np`` and ``from stream_store import StreamStore``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ._store_life import StoreLife
from ._types import AnyPath, Progress

if TYPE_CHECKING:
    from ._convert.report import ConversionReport


class FileConversions(StoreLife):
    """A base class of StreamStore."""

    # --- MCAP ---

    def from_mcap(
        self,
        src: AnyPath,
        *,
        topics: Sequence[str] | None = None,
        raw: Sequence[str] | None = None,
        map: Mapping[str, str] | None = None,
        append: bool = False,
        resume: bool = False,
        check: bool = False,
        progress: Progress | None = None,
    ) -> ConversionReport:
        """Import MCAP files: each topic is a struct field of its own rate. Nothing is resampled.

        The step of a row is the log time in nanoseconds. Messages of different topics with one log
        time share a row. A message whose topic has one in that row already, or whose log time is
        not greater than the last step, begins a row with the next step, and keeps its log time in
        the leaf ``_log_time``. The leaves ``_publish_time`` and ``_sequence`` are there if they
        differ from the log time and from 0.

        ROS 2 (CDR), ROS 1, JSON with a schema, and protobuf are decoded; messages in other
        encodings are stored as bytes, in the leaf ``data``. Sequences of bytes, such as those of
        images, are packed. A file whose recorder was killed is read up to its last whole record.

        Args:
            src: a file, or a directory of files that follow each other in time. Each is an episode.
            topics: the topics to import; None imports all.
            raw: topics whose messages are stored as bytes.
            map: field name -> path, a topic or ``topic.member``; None imports whole topics.
            append: add to the rows of the store. Otherwise the rows of a temporary store are
                replaced, and a persistent one must be empty.
            resume: continue an import that was interrupted, with the first file that is not in the
                store; start one if the store is empty.
            check: read the files again afterwards, and compare every value.
            progress: called with rows done and 0; an exception it raises ends the import.

        Returns:
            A report. It names topics that were stored as bytes, and files that end early.

        Cost:
            A small read per chunk to find the channels. Memory for a few chunks, and for as much
            as chunks overlap in time.

        Raises:
            ValueError: a file is damaged, or a message does not fit its schema. The error names the
                file and the topic, and the store is as it was.
            ImportError: a package is missing: ``pip install 'stream-store[mcap]'``.

        Examples:
            >>> store = StreamStore(fields={"joint": "float64[2]", "note": "string"})
            >>> store.append_step({"joint": [0.5, 1.0]}, step=1_000)
            1000
            >>> report = store.to_mcap("arm.mcap")
            >>> copy = StreamStore()
            >>> print(copy.from_mcap("arm.mcap", topics=["/joint"]))
            mcap: 1 row in 1 episode, 1 field: joint
            >>> copy.row(0)["joint"]
            array([0.5, 1. ])
        """
        from ._convert.mcap import from_mcap

        return from_mcap(
            self,
            src,
            topics=topics,
            raw=raw,
            map=map,
            append=append,
            resume=resume,
            check=check,
            progress=progress,
        )

    def to_mcap(
        self,
        dst: AnyPath,
        *,
        fields: Sequence[str] | None = None,
        step_ns: int = 1,
        chunk_bytes: int = 1 << 20,
        check: bool = False,
        progress: Progress | None = None,
    ) -> ConversionReport:
        """Write the rows as an MCAP file, which Foxglove and Rerun open.

        Topics that `from_mcap` imported are written with their schemas, times and sequence numbers.
        Every other field becomes a topic, ``/obs/image`` for ``obs.image``, with messages of ROS 2:
        packed uint8 fields of shape (height, width) or (height, width, 1, 3 or 4) are images, the
        rest have one member ``data``. `from_mcap` gives these fields back as they were. A row makes
        a message for each field that it has.

        Args:
            dst: a new path; after an error there is no file.
            fields: the fields to write; None writes all. Those that no message of ROS can hold,
                such as nested and decimal ones, are left out and named in the report.
            step_ns: nanoseconds of a step; the log time of a message is its step times this.
            chunk_bytes: size of chunks before compression.
            check: read the file again with the library of MCAP, and compare every message.
            progress: called with rows done and rows in all.

        Returns:
            A report.

        Cost:
            About 20 µs per message. Memory for one chunk.

        Raises:
            FileExistsError: there is something at `dst`.
            ValueError: there are no rows, a step is negative, or a value does not fit the schema of
                its topic.
            ImportError: a package is missing: ``pip install 'stream-store[mcap]'``.

        Examples:
            >>> store = StreamStore(fields={"camera": "packed uint8[4,6,3]"})
            >>> store.append_step({"camera": np.zeros((4, 6, 3))})
            0
            >>> store.to_mcap("camera.mcap", step_ns=50_000_000).rows
            1
        """
        from ._convert.mcap import to_mcap

        return to_mcap(
            self,
            dst,
            fields=fields,
            step_ns=step_ns,
            chunk_bytes=chunk_bytes,
            check=check,
            progress=progress,
        )

    # --- Minari ---

    def from_minari(
        self,
        src: AnyPath,
        *,
        map: Mapping[str, str] | None = None,
        append: bool = False,
        resume: bool = False,
        check: bool = False,
        progress: Progress | None = None,
    ) -> ConversionReport:
        """Import a Minari data set in any of its layouts: HDF5, Arrow or Parquet.

        The fields are ``episode``, ``obs``, ``action``, ``reward``, ``terminated``, ``truncated``
        and ``info``; spaces of dicts and tuples are structs. Each episode has one more row, with
        the final observation and no action. Its seed and options, and the metadata of the data set
        as JSON in ``minari``, are in first rows. Images that are JPEG files there are decoded.

        Args:
            src: directory of the data set, or ``data`` within.
            map: field name -> path, such as ``observations/image``; None imports all.
            append: add to the rows of the store. Numbers of episodes that are not greater than
                those of the store continue them; the report says so. Otherwise the rows of a
                temporary store are replaced, and a persistent one must be empty.
            resume: continue an import that was interrupted; start one if the store is empty.
            check: read the data set again afterwards, and compare every value.
            progress: called with rows done and rows in all; an exception ends the import.

        Returns:
            A report.

        Raises:
            ValueError: the data set is damaged or has another form than Minari writes. The error
                names the file and the path inside, and the store is as it was.
            ImportError: a package is missing: ``pip install 'stream-store[minari]'``.

        Examples:
            >>> parts = {"obs": "float32[2]", "action": "int64", "reward": "float32"}
            >>> store = StreamStore(fields={"episode": "int64", **parts})
            >>> ends = {"action": [1, 0, None], "reward": [0.0, 1.0, None]}
            >>> store.extend({"episode": [0, 0, 0], "obs": np.ones((3, 2)), **ends})
            3
            >>> report = store.to_minari("walk-v0")
            >>> copy = StreamStore()
            >>> copy.from_minari("walk-v0").rows
            3
            >>> copy.row(2)["obs"], copy.row(2)["action"]
            (array([1., 1.], dtype=float32), None)
        """
        from ._convert.minari import from_minari

        return from_minari(
            self,
            src,
            map=map,
            append=append,
            resume=resume,
            check=check,
            progress=progress,
        )

    def to_minari(
        self,
        dst: AnyPath,
        *,
        dataset_id: str | None = None,
        episode: str = "episode",
        lane_by: str | Sequence[str] | None = None,
        obs: str = "obs",
        action: str = "action",
        reward: str = "reward",
        terminated: str = "terminated",
        truncated: str = "truncated",
        info: str = "info",
        observation_space: Any = None,
        action_space: Any = None,
        env_spec: Any = None,
        metadata: Mapping[str, Any] | None = None,
        check: bool = False,
        progress: Progress | None = None,
    ) -> ConversionReport:
        """Write episodes as a Minari data set, in HDF5. Images are not compressed, so it is exact.

        `minari.MinariDataset(dst / "data")` opens it. If `dst` is in the directory of data sets of
        Minari, `minari.load_dataset` does, too. The last row of each episode must have the final
        observation and no action. Seeds and options are taken from the fields of these names.

        Args:
            dst: a new path; after an error there is nothing.
            dataset_id: ``(namespace/)name-v0``; by default the name of `dst`.
            episode: the int field that numbers episodes.
            lane_by: the int fields with the number of the environment, if rows of several are
                interleaved; by default "env", if there is one, as `RecordVectorToStore` writes it.
            obs: the field of observations; a struct is a space of a dict.
            action: the field of actions.
            reward: the field of rewards.
            terminated: the field of terminations; false where missing.
            truncated: the field of truncations; false where missing. True in the last row, where
                recorders mark an episode that was cut, is written for the last step.
            info: the struct of further values per step, if the store has one.
            observation_space: a space of Gymnasium, or its JSON. By default it is that of the data
                set which was imported, or takes all values of the dtype.
            action_space: the same for actions. Pass it for discrete actions.
            env_spec: an `EnvSpec` of Gymnasium or its JSON, for `recover_environment`.
            metadata: more of the data set, such as ``{"author": {"me"}}``.
            check: read the file again, and compare every value.
            progress: called with rows done and rows in all.

        Returns:
            A report, with the fields that Minari has no place for.

        Raises:
            FileExistsError: there is something at `dst`.
            ValueError: a field is missing or cannot be written; a row lacks a value; or an episode
                has no final observation; or episodes are interleaved, and there are no lanes. The
                message names the row.
            ImportError: a package is missing: ``pip install 'stream-store[minari]'``.

        Examples:
            >>> parts = {"obs": "float32[2]", "action": "int64", "reward": "float32"}
            >>> store = StreamStore(fields={"episode": "int64", **parts})
            >>> ends = {"action": [1, 0, None], "reward": [0.0, 1.0, None]}
            >>> store.extend({"episode": [0, 0, 0], "obs": np.ones((3, 2)), **ends})
            3
            >>> report = store.to_minari("walk-v1", metadata={"author": {"me"}}, check=True)
            >>> report.rows, report.checked_values
            (3, 7)
        """
        from ._convert.minari import to_minari

        return to_minari(
            self,
            dst,
            dataset_id=dataset_id,
            episode=episode,
            lane_by=lane_by,
            obs=obs,
            action=action,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            info=info,
            observation_space=observation_space,
            action_space=action_space,
            env_spec=env_spec,
            metadata=metadata,
            check=check,
            progress=progress,
        )

    # --- HDF5 and Zarr ---

    def from_hdf5(
        self,
        src: AnyPath,
        *,
        layout: Literal["auto", "robomimic", "d4rl", "episodes", "flat"] = "auto",
        map: Mapping[str, str] | None = None,
        append: bool = False,
        resume: bool = False,
        check: bool = False,
        progress: Progress | None = None,
    ) -> ConversionReport:
        """Import the episodes of an HDF5 file.

        A group is a struct and a dataset a field; ``episode`` has the number of the episode.
        Attributes are in the first row of their episode, or in the first row of all.

        Args:
            src: a file, or a directory of files with one or several episodes each.
            layout: where the episodes are. "robomimic": one group each in ``data``, as robomimic
                and Isaac Lab write them. "d4rl": in arrays, ended by ``terminals`` and
                ``timeouts``. "episodes": one group each at the top. "flat": arrays of equal length
                are one episode. "auto" recognises it.
            map: field name -> path within an episode, such as ``obs/image``; None imports all.
            append: add to the rows of the store. Numbers of episodes that are not greater than
                those of the store continue them; the report says so. Otherwise the rows of a
                temporary store are replaced, and a persistent one must be empty.
            resume: continue an import that was interrupted; start one if the store is empty.
            check: read the file again afterwards, and compare every value.
            progress: called with rows done and rows in all; an exception ends the import.

        Returns:
            A report.

        Cost:
            Memory for two blocks of 16 MiB, or of one chunk of each dataset if those are larger.

        Raises:
            ValueError: a file is damaged, an array has another length than the others, or its dtype
                cannot be stored. The error names the file and the path inside, and the store is as
                it was.
            ImportError: h5py is missing: ``pip install 'stream-store[hdf5]'``.

        Examples:
            >>> import h5py
            >>> with h5py.File("demos.hdf5", "w") as file:
            ...     file["data/demo_0/actions"] = np.zeros((4, 7), np.float32)
            ...     file["data/demo_0/obs/image"] = np.zeros((4, 8, 8, 3), np.uint8)
            ...     file["data/demo_0"].attrs["success"] = True
            >>> store = StreamStore()
            >>> print(store.from_hdf5("demos.hdf5"))
            hdf5: 4 rows in 1 episode, 4 fields: episode, episode_attrs, actions, obs
            >>> store.row(0)["obs"]["image"].shape, store.row(0)["episode_attrs"]
            ((8, 8, 3), {'success': np.True_})
        """
        from ._convert.hdf5 import from_hdf5

        return from_hdf5(
            self,
            src,
            layout=layout,
            map=map,
            append=append,
            resume=resume,
            check=check,
            progress=progress,
        )

    def from_zarr(
        self,
        src: AnyPath,
        *,
        map: Mapping[str, str] | None = None,
        append: bool = False,
        resume: bool = False,
        check: bool = False,
        progress: Progress | None = None,
    ) -> ConversionReport:
        """Import a Zarr group, such as a replay buffer of diffusion policy.

        With an array ``meta/episode_ends``, or ``episode_ends``, the arrays of ``data``, or else
        all others, are cut into episodes there. Otherwise all arrays are one episode.

        Args:
            src: a group of version 2 or 3 of the format, in a directory or a zip file.
            map: field name -> path, such as ``img``; None imports all.
            append: add to the rows of the store. Numbers of episodes that are not greater than
                those of the store continue them; the report says so. Otherwise the rows of a
                temporary store are replaced, and a persistent one must be empty.
            resume: continue an import that was interrupted; start one if the store is empty.
            check: read the group again afterwards, and compare every value.
            progress: called with rows done and rows in all; an exception ends the import.

        Returns:
            A report. It names arrays of which chunks are not stored and read as the fill value.

        Cost:
            Memory for two blocks of 16 MiB, or of one chunk of each array if those are larger.

        Raises:
            ValueError: the group is damaged, an array has another length than the others, or its
                dtype cannot be stored. The error names the path, and the store is as it was.
            ImportError: zarr is missing: ``pip install 'stream-store[zarr]'``.

        Examples:
            >>> import zarr
            >>> group = zarr.open_group("pusht.zarr", mode="w")
            >>> array = group.create_array("data/action", data=np.ones((5, 2), np.float32))
            >>> ends = group.create_array("meta/episode_ends", data=np.array([2, 5]))
            >>> store = StreamStore()
            >>> print(store.from_zarr("pusht.zarr"))
            zarr: 5 rows in 2 episodes, 2 fields: episode, action
            >>> store.segments("episode").tolist()
            [[0, 2], [2, 5]]
        """
        from ._convert.zarr import from_zarr

        return from_zarr(
            self,
            src,
            map=map,
            append=append,
            resume=resume,
            check=check,
            progress=progress,
        )
