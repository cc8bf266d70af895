"""Where the OpenAPI document cannot say what is right, for tests that make up requests from it."""

# Operations that refuse some of what their schemas allow.
SAY_TOO_LITTLE = frozenset(
    {
        # The catalog says how many numbers a vector has.
        "PUT /v1/catalogs/{catalog}/movies/{movie}",
        # Files are in formats of their own.
        "POST /v1/catalogs/{catalog}/movies:import",
        "POST /v1/catalogs/{catalog}/responses:import",
        # Programs are in a language of their own.
        "POST /v1/compute/tensor",
        "POST /v1/compute/tensor.txt",
        "POST /v1/compute/gradient",
        # One list says how long another one is.
        "POST /v1/compute/neuron",
        "POST /v1/compute/neuron/losses",
        "POST /v1/compute/neuron/losses.{suffix}",
        "POST /v1/compute/mlp",
        "POST /v1/compute/mlp/losses",
        "POST /v1/compute/mlp/losses.{suffix}",
        "POST /v1/compute/mlp/fit",
        "POST /v1/compute/mlp/fit.{suffix}",
        # The catalog says which dimensions there are.
        "GET /v1/catalogs/{catalog}/plots/heatmap",
        "GET /v1/catalogs/{catalog}/plots/heatmap.{suffix}",
        "GET /v1/catalogs/{catalog}/plots/scatter",
        "GET /v1/catalogs/{catalog}/plots/scatter.{suffix}",
    }
)

# JSON Schema takes 5.0 for a whole number, the service does not: these are sent as 5.
WHOLE_NUMBERS = ("training", "seed", "epochs", "learned_dimensions", "max_steps", "last_n", "limit", "order")
