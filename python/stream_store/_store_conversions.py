"""Conversions from and to other formats, as methods of StreamStore.

Each method is a few lines: the work is in `_convert`, which is imported on use, because it needs
optional packages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ._file_conversions import FileConversions
from ._types import AnyPath, Progress

if TYPE_CHECKING:
    from ._convert.report import ConversionReport


class StoreConversions(FileConversions):
    """A base class of StreamStore."""

    # --- LeRobot ---

    def from_lerobot(
        self,
        src: AnyPath,
        *,
        map: Mapping[str, str] | None = None,
        episodes: Iterable[int] | None = None,
        videos: Literal["png", "jpeg", "raw", "skip"] = "png",
        append: bool = False,
        resume: bool = False,
        check: bool = False,
        progress: Progress | None = None,
    ) -> ConversionReport:
        """Import a LeRobotDataset v3.0 from a local directory.

        Each feature becomes a field of its name and dtype, with its shape; images keep their
        encoded bytes. The text of the task is in the field "task", on the first row of each episode
        and where it changes. Facts about an episode, which are further columns of `meta/episodes`,
        are on its first row. The features "index" and "task_index" follow from these and are left
        out, unless `map` names them.

        Args:
            src: the directory with `meta/info.json`.
            map: field name -> path, to choose and rename. A path is the name of a feature, "task",
                or "meta/episodes/NAME" for a fact.
            episodes: numbers of the episodes to import, in the order of the data set; None imports
                all. Others are not read from disk.
            videos: what frames of videos become: PNG files (lossless, but large), JPEG files,
                "raw" arrays of uint8, or nothing. Decoding needs PyAV, extra "video".
            append: add to the rows of the store. Numbers of episodes that are not greater than
                those of the store continue them; the report says so. Otherwise the rows of a
                temporary store are replaced, and a persistent one must be empty.
            resume: continue an import that was killed, or start one if the store is empty. Before
                that, the store has whole episodes only.
            check: read the data set again afterwards, and compare every value with the store.
            progress: called with (rows done, rows in all); an exception it raises ends the import.

        Returns:
            A report: rows, episodes, fields, and what was left out and why.

        Cost:
            Memory for a few blocks of 16 MiB, whatever the size of the data set.

        Raises:
            FileNotFoundError: `src` is not such a directory, or files are missing.
            ImportError: a package is missing; the message names the extra.
            IndexError: an episode does not exist.
            ValueError: the data set is of another version or damaged; `map` names something that
                it lacks; or as for `from_dataset`. After any error the store has the rows that it
                had before.
            CheckError: with `check`, a value differs.

        Examples:
            >>> fields = {"episode_index": "int64", "action": "float32[2]", "task": "string"}
            >>> with StreamStore("run", fields=fields) as store:
            ...     ends = {"episode_index": [0, 0, 1], "task": ["push", None, "pull"]}
            ...     rows = store.extend({**ends, "action": np.ones((3, 2))})
            ...     report = store.to_lerobot("dataset", fps=10)
            >>> with StreamStore("copy") as store:
            ...     report = store.from_lerobot("dataset", check=True)
            ...     store.num_rows, store.row(1)["frame_index"], store.row(2)["task"]
            (3, np.int64(1), 'pull')
        """
        from ._convert.lerobot.importer import from_lerobot

        return from_lerobot(
            self,
            src,
            map=map,
            episodes=episodes,
            videos=videos,
            append=append,
            resume=resume,
            check=check,
            progress=progress,
        )

    def to_lerobot(
        self,
        dst: AnyPath,
        *,
        fps: int,
        by: str | Sequence[str] | None = None,
        lane_by: str | Sequence[str] | None = None,
        time_field: str | None = None,
        time_unit: float = 1e-9,
        tolerance: float = 1e-4,
        resample: Literal["latest"] | None = None,
        max_gap: float = 60.0,
        missing: Literal["error", "drop", "zero"] = "error",
        fields: Sequence[str] | None = None,
        task: str | None = None,
        episode_fields: Sequence[str] = (),
        names: Mapping[str, Any] | None = None,
        robot_type: str | None = None,
        images: Literal["png", "jpeg"] | None = "png",
        video: bool = False,
        append: bool = False,
        check: bool = False,
        progress: Progress | None = None,
    ) -> ConversionReport:
        """Write the episodes of the store as a LeRobotDataset v3.0.

        Each field becomes a feature of its name; the fields of a struct have names such as
        "observation.state". Numbers, bools, strings, lists of one length, arrays of up to five
        dimensions and images can be features. "timestamp", "frame_index", "episode_index", "index"
        and "task_index" are written anew.

        Args:
            dst: a new path, or an empty directory. The data set appears there complete; after an
                error, nothing is left there.
            fps: frames per second, an int, as the layout needs.
            by: the fields that cut episodes, as for `segments`; by default "episode_index", if the
                store has it. ``by=()`` makes all rows one episode.
            lane_by: the int fields with the number of the environment or robot, if rows of several
                are interleaved; by default "env", if the store has such an int field, as
                `RecordVectorToStore` writes it.
            time_field: a field with the times of rows, or "_step" for the step. The times of each
                episode must then be regular. Without it, rows are taken as regular.
            time_unit: seconds per unit of an int field or of the step; a float field is in seconds.
            tolerance: of regular times, in seconds.
            resample: "latest" makes frames at regular times instead, each with the latest value of
                every field. They begin when every field has one. Needs `time_field`.
            max_gap: the longest time between two rows that `resample` fills with frames, in
                seconds. A longer one, such as that after a clock was set, is an error;
                ``float("inf")`` allows all.
            missing: what to do with rows that lack a field, such as the final row of an episode,
                which has no action: raise, "drop" the row, or write "zero".
            fields: the fields to write, also structs and leaves; None writes all.
            task: a string field with the task, where a missing value repeats the previous one; or
                the text of the task of all episodes. By default the field "task", if there is one.
            episode_fields: fields with facts about episodes. The value that an episode has, on one
                or more of its rows, becomes a column of `meta/episodes`; several values in an
                episode are an error.
            names: feature -> names of its items, for `info.json`.
            robot_type: name of the robot, for `info.json`.
            images: fields of uint8 and shape (height, width, 1, 3 or 4) become PNG or JPEG files;
                with None, they stay arrays. Fields of the feature Image are copied as they are.
            video: write images as videos instead, in H.264, which is lossy. Needs PyAV, extra
                "video".
            append: add the episodes to an existing data set with the same features: files are
                added, and only `meta/` is rewritten.
            check: read the data set again and compare every value, except those that JPEG or a
                video change.
            progress: called with (rows done, rows in all); an exception it raises ends the export.

        Returns:
            A report: frames, episodes, features, and what was left out or changed.

        Cost:
            Memory for a few blocks of 16 MiB. Statistics are computed on the way; images take the
            time to encode them.

        Raises:
            FileExistsError: `dst` is anything but an empty directory, and `append` is False.
            ImportError: a package is missing; the message names the extra.
            ValueError: fields cannot be features, times are not regular, values are missing, or an
                argument is not valid. The message names the fields and the first rows.
            CheckError: with `check`, a value differs.

        Examples:
            >>> with StreamStore("run", fields={"done": "bool", "state": "float32[2]"}) as store:
            ...     rows = store.extend({"done": [False, True] * 2, "state": np.ones((4, 2))})
            ...     print(store.to_lerobot("dataset", fps=30, by="done", task="push"))
            lerobot: 4 rows in 2 episodes, 2 fields: done, state
        """
        from ._convert.lerobot.exporter import to_lerobot

        return to_lerobot(
            self,
            dst,
            fps=fps,
            by=by,
            lane_by=lane_by,
            time_field=time_field,
            time_unit=time_unit,
            tolerance=tolerance,
            resample=resample,
            max_gap=max_gap,
            missing=missing,
            fields=fields,
            task=task,
            episode_fields=episode_fields,
            names=names,
            robot_type=robot_type,
            images=images,
            video=video,
            append=append,
            check=check,
            progress=progress,
        )
