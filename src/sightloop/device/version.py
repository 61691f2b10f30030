"""What this agent is and can do, so that a server of any age knows what to ask of it."""

from __future__ import annotations

AGENT_VERSION = "0.1.0"
CAPABILITIES = ["bundle/1", "detect", "oip-v2", "onnx-cpu", "profile/1"]
