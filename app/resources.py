"""What lives as long as the application: settings, database, models, pools of processes, measurements.

Does not know who uses it.
"""

from dataclasses import dataclass, field

from app.catalogs.imports.pool import ImportPool
from app.compute.pool import ComputePool
from app.database.database import Database
from app.database.notifications import Changes
from app.observability.metrics import Measurements
from app.plots.drawing_pool import DrawingPool
from app.scoring.fast_path import ReadyScores
from app.scoring.model_cache import TrainedModels
from app.scoring.ready_pairs import ReadyPairs
from app.settings import Settings
from app.web.auth.api_keys import Admission
from app.web.limits import Places, Turns

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
