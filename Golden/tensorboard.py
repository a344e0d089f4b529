"""Golden event file of Tests/TrackTests: the bytes of TensorBoard's own writer. Run by `make golden`."""

import pathlib
import sys

# Python puts the folder of this file first, where its own name hides the package.
sys.path.pop(0)

from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2  # noqa: E402
from tensorboard.summary.writer.record_writer import RecordWriter  # noqa: E402

TIME = 1763712000.25


def scalar(tag, value, step):
    summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)])
    return event_pb2.Event(wall_time=TIME, step=step, summary=summary)


def text(tag, content, step):
    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)]),
        string_val=[content.encode()],
    )
    metadata = summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="text"),
        data_class=summary_pb2.DATA_CLASS_TENSOR,
    )
    value = summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
    return event_pb2.Event(wall_time=TIME, step=step, summary=summary_pb2.Summary(value=[value]))


target = pathlib.Path(__file__).parent.parent / "Tests/TrackTests/Golden/events.tfevents"
target.parent.mkdir(parents=True, exist_ok=True)
with open(target, "wb") as file:
    writer = RecordWriter(file)
    for event in [
        event_pb2.Event(wall_time=TIME, file_version="brain.Event:2"),
        text("settings", "| setting | value |\n|---|---|\n| größe | 3 |", 0),
        scalar("train/loss", 2.5, 1),
        scalar("train/loss", -0.1, 300),
        scalar("report/accuracy", 0.972, 70000),
    ]:
        writer.write(event.SerializeToString(deterministic=True))
    writer.flush()
