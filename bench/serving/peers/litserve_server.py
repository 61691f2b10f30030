"""`litserve_server.py PORT`: LitServe as its image tutorials show it, one worker."""

import base64
import sys
from pathlib import Path

import litserve

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline import Pipeline


class Detect(litserve.LitAPI):
    def setup(self, device):
        self.pipeline = Pipeline()

    def decode_request(self, request):
        return base64.b64decode(request["image"])

    def predict(self, content):
        return self.pipeline(content)

    def encode_response(self, found):
        return {"detections": found}


if __name__ == "__main__":
    server = litserve.LitServer(Detect(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
    )
