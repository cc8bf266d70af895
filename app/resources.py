"""What lives as long as the application: settings, the database, the movies in memory, the measurements.

Does not know who uses it.
"""

from dataclasses import dataclass, field

from app.database import Database
from app.matrices import MovieMatrices
from app.measurements import Measurements
from app.settings import Settings


@dataclass(frozen=True)
class Resources:
    """Made once by `app.main.create_app`, handed to each request."""

    settings: Settings
    database: Database
    matrices: MovieMatrices = field(default_factory=MovieMatrices)
    measurements: Measurements = field(default_factory=Measurements)
