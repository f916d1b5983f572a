"""Sends pictures over gRPC from the serving environment: `grpc_client.py PORT FILE…`; prints one JSON message a file.

`reward=X` in the place of a file sends feedback.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import grpc
from google.protobuf import json_format
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc


def main(port: str, *files: str) -> None:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
        stub = prediction_pb2_grpc.SeldonStub(channel)
        for file in files:
            if file.startswith("reward="):
                feedback = prediction_pb2.Feedback(reward=float(file.partition("=")[2]))
                print(json.dumps(json_format.MessageToDict(stub.SendFeedback(feedback, timeout=60))), flush=True)
                continue
            message = prediction_pb2.SeldonMessage()
            if file != "empty":
                message.binData = Path(file).read_bytes()
            message.meta.puid = "over-grpc"
            message.meta.tags["role"].string_value = "challenger"
            message.meta.tags["shadow"].number_value = 1
            print(json.dumps(json_format.MessageToDict(stub.Predict(message, timeout=60))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
