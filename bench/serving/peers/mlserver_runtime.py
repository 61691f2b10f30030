"""An MLServer runtime: a JPEG as a base64 BYTES tensor in, JSON out."""

import sys
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

sys.path.insert(0, str(Path(__file__).parents[1]))
import json

from pipeline import Pipeline


class Detect(MLModel):
    async def load(self) -> bool:
        self.pipeline = Pipeline()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        content = Base64Codec.decode_input(payload.inputs[0])[0]
        found = json.dumps(self.pipeline(content))
        return InferenceResponse(
            model_name=self.name, outputs=[StringCodec.encode_output("found", [found])]
        )
