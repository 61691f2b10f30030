"""A BentoML service of one worker; served by `bentoml serve bentoml_service:Detect`."""

import sys
from pathlib import Path

import bentoml

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline import Pipeline


@bentoml.service(workers=1, traffic={"timeout": 60}, metrics={"enabled": True})
class Detect:
    def __init__(self) -> None:
        self.pipeline = Pipeline()

    @bentoml.api
    def predict(self, image: Path) -> list[dict]:
        return self.pipeline(image.read_bytes())
