"""The model in LitServe, as its documentation shows it: one worker process on the processor.

MODEL=file LIKELY_PORT=8001 python -m benchmarks.speed.peers.litserve_api
"""

import os
from pathlib import Path

import litserve

from benchmarks.speed.peers.recommender import Recommender


class Recommending(litserve.LitAPI):  # type: ignore[misc]  # it ships no types
    """POST /predict with a user and a limit."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - asked of every API
        """Load the model."""
        self.model = Recommender.load(Path(os.environ["MODEL"]))

    def decode_request(self, request: dict[str, object]) -> tuple[str, int]:
        """Return what is asked."""
        return str(request["user"]), int(str(request["limit"]))

    def predict(self, asked: tuple[str, int]) -> dict[str, object]:
        """Recommend."""
        user, limit = asked
        return {"user": user, "scores": self.model.recommend(user, limit)}

    def encode_response(self, output: dict[str, object]) -> dict[str, object]:
        """Return the answer."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Recommending(), accelerator="cpu", workers_per_device=1)
    server.run(
        port=int(os.environ["LIKELY_PORT"]),
        log_level="warning",
        generate_client_file=False,
        num_api_servers=1,
    )
