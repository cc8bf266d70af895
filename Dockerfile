FROM python:3.12-slim AS build

# PyTorch's own index of builds without CUDA: hundreds of megabytes instead of several thousand
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

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

COPY pyproject.toml README.md ./
COPY app app
COPY migrations migrations
COPY models models
RUN pip install -c constraints.txt .


FROM python:3.12-slim

# the id is numeric below, so that an orchestrator sees it is not root; /data is the user's before it becomes a volume
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin likely \
    && install --directory --owner=likely --group=likely /data

COPY --from=build /opt/likely /opt/likely

ENV PATH=/opt/likely/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    LIKELY_DATABASE_URL=sqlite:////data/likely.db \
    LIKELY_HOST=0.0.0.0

# 0.0.0.0 is reached by others, so there has to be a key before it serves; once, on the same volume:
#   docker run --rm -v likely:/data likely likely keys create --scope admin --label me

USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000

# http.client asks no proxy, whatever the container's environment says
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; probe = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('LIKELY_PORT', '8000')), timeout=4); probe.request('GET', '/readyz'); sys.exit(probe.getresponse().status != 200)"]

CMD ["likely", "serve"]
