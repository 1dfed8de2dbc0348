# The image of a worker for augmint's flows: of a process pool, or what the docker and kubernetes pools start for a run.
#   docker build --tag augmint:0.1 --build-arg UID=$(id -u) .
# It holds augmint, Git and DVC; the project's folder is mounted. docs/prefect.md has the rest.
ARG PYTHON=python:3.12-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /src
COPY requirements.lock .
# as the Makefile does it: uv by its hash, and by uv all the rest by theirs; compiled here, as a run's user may not write
RUN python -m venv /opt/augmint \
    && sed -n '/^uv==/,/[^\\]$/p' requirements.lock > uv.txt \
    && /opt/augmint/bin/python -m pip install --quiet --no-cache-dir --require-hashes --requirement uv.txt \
    && /opt/augmint/bin/uv pip install --no-cache --compile-bytecode --python /opt/augmint/bin/python \
        --require-hashes --requirements requirements.lock
COPY pyproject.toml README.md ./
COPY gan gan
COPY pipeline pipeline
COPY augmint augmint
RUN /opt/augmint/bin/uv pip install --no-cache --compile-bytecode --python /opt/augmint/bin/python \
        --no-deps --no-build-isolation .

FROM ${PYTHON}
# Git for the commits of refresh and for DVC; gcc for torch.compile, which is used on GPUs; tini to end what is orphaned
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc git libc6-dev tini \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory '*'  # what is mounted belongs to a user of the host
ARG UID=1000
RUN useradd --create-home --uid ${UID} augmint
COPY --from=build /opt/augmint /opt/augmint
ENV PATH=/opt/augmint/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    DO_NOT_TRACK=1 \
    DVC_NO_ANALYTICS=1 \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30
USER augmint
WORKDIR /project
ENTRYPOINT ["tini", "-g", "--"]
# a pool of type docker or kubernetes gives a command of its own
CMD ["prefect", "worker", "start", "--pool", "augmint", "--type", "process"]
