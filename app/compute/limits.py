"""How much one computation may use. Does not know who enforces which limit."""

from pydantic import BaseModel, ConfigDict

from app.settings import Settings
from models.notebook.tensor_language.runtime.limits import Limits

# A program may go on to another tensor of the largest size this often, what it no longer uses counted too.
_TENSORS = 20


class ComputeLimits(BaseModel):
    """The limits of one computation, from the settings; travels to the process that computes."""

    model_config = ConfigDict(frozen=True)

    seconds: float
    memory_bytes: int
    body_bytes: int
    program_bytes: int
    nesting: int
    operations: int
    elements: int
    epochs: int
    parameters: int

    @classmethod
    def of(cls, settings: Settings) -> "ComputeLimits":
        """Return the limits that the settings say."""
        return cls(**{name: getattr(settings, f"compute_{name}") for name in cls.model_fields})

    @property
    def language(self) -> Limits:
        """What a program of the tensor language may use."""
        return Limits(
            self.program_bytes, self.nesting, self.operations, self.elements, _TENSORS * self.elements
        )
