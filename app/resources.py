"""What lives as long as the application: settings, database, models, compute processes, measurements.

Does not know who uses it.
"""

from dataclasses import dataclass, field

from app.compute.pool import ComputePool
from app.database import Database
from app.measurements import Measurements
from app.settings import Settings
from app.trained_models import TrainedModels


@dataclass(frozen=True)
class Resources:
    """Made once by `app.main.create_app`, handed to each request."""

    settings: Settings
    database: Database
    compute: ComputePool
    models: TrainedModels = field(default_factory=TrainedModels)
    measurements: Measurements = field(default_factory=Measurements)
