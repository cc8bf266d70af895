"""What can be asked of a drawing process. Does not know how it is drawn."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.plots.figures import Figure

Form = Literal["svg", "png", "vega-lite"]


class DrawTask(BaseModel):
    """Draw a figure, or give its specification as JSON."""

    figure: Annotated[Figure, Field(discriminator="figure")]
    form: Form
