FROM python:3.12-slim AS build

# PyTorch's own index of builds without CUDA: hundreds of megabytes instead of several thousand
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# what comes beside the service, separated by commas: pyproject.toml has the names
ARG EXTRAS=faiss,otel

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

# pysqlite3 ships no wheel for Linux on ARM: there it is compiled, against Debian's SQLite
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev libsqlite3-dev \
    && rm -rf /var/lib/apt/lists/*

RUN python -m venv /opt/likely
ENV PATH=/opt/likely/bin:$PATH
WORKDIR /src

# torch alone, in a layer of its own: that index holds few other packages, and a change of the code leaves the layer be
COPY constraints.txt ./
RUN pip install -c constraints.txt --no-deps --index-url "$TORCH_INDEX" torch

COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY migrations migrations
COPY models models
RUN pip install -c constraints.txt ".[$EXTRAS]"


FROM python:3.12-slim

# the id is numeric below, so that an orchestrator sees it is not root; /data is the user's before it becomes a volume
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin likely \
    && install --directory --owner=likely --group=likely /data

COPY --from=build /opt/likely /opt/likely

# TMPDIR: imports wait in a file, and web processes measure together in a folder; the root file system may be read-only
ENV PATH=/opt/likely/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/data \
    LIKELY_DATABASE_URL=sqlite:////data/likely.db \
    LIKELY_HOST=0.0.0.0

# 0.0.0.0 is reached by others, so there has to be a key before it serves; once, on the same volume:
#   docker run --rm -v likely:/data likely likely keys create --scope admin --label me
# and then: docker run --read-only -v likely:/data -p 8000:8000 likely

USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "app.cli.healthcheck"]

CMD ["likely", "serve"]
