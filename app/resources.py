"""What lives as long as the application: settings, database, models, pools of processes, measurements.

Does not know who uses it.
"""

from dataclasses import dataclass, field

from app.admission import Places, Turns
from app.changes import Changes
from app.compute.pool import ComputePool
from app.database import Database
from app.drawing.pool import DrawingPool
from app.importing.pool import ImportPool
from app.keys import Admission
from app.measurements import Measurements
from app.ready_pairs import ReadyPairs
from app.ready_scores import ReadyScores
from app.settings import Settings
from app.trained_models import TrainedModels

_WRITERS = 1  # the next is begun when its turn comes: two would wait for one another


@dataclass(frozen=True)
class Resources:
    """Made once by `app.main.create_app`, handed to each request."""

    settings: Settings
    database: Database
    compute: ComputePool
    drawing: DrawingPool
    importing: ImportPool
    models: TrainedModels = field(default_factory=TrainedModels)
    measurements: Measurements = field(default_factory=Measurements)
    changes: Changes = field(init=False)
    streams: Places = field(init=False)
    writers: Turns = field(init=False)
    admission: Admission = field(init=False)
    ready: ReadyScores = field(init=False)
    ready_pairs: ReadyPairs = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "changes", Changes(self.database))
        object.__setattr__(self, "streams", Places(self.settings.streams, "event streams"))
        object.__setattr__(self, "writers", Turns(_WRITERS, self.settings.busy_seconds))
        object.__setattr__(self, "admission", Admission(self.database, self.settings.host))
        object.__setattr__(self, "ready", ReadyScores(self.database, self.models))
        object.__setattr__(self, "ready_pairs", ReadyPairs(self.database, self.models))
