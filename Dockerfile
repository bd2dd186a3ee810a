# voiceclone with both engines, for Linux servers with an NVIDIA GPU.
#   docker build -t voiceclone .
#   docker run --rm --gpus all -v voiceclone-models:/models -v "$PWD":/work voiceclone run input.wav
# PyPI's torch brings the CUDA libraries; the host has the driver and the NVIDIA container toolkit. On a machine without a
# GPU leave out --gpus. The wheel of `av` contains libx264 and libx265 (GPL): whoever distributes the image distributes
# them too (docs/dependencies.md).
FROM python:3.11-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends espeak-ng \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /opt/voiceclone

# The UI environment: the image's own Python. The pins change less often than the code, so they are a layer of their own.
COPY requirements-ui.txt ./
RUN python -m pip install -r requirements-ui.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
COPY worker_env worker_env
RUN python -m pip install --no-deps .

# The fish environment: not where the models are, which are a volume.
RUN mkdir -p /opt/fish \
    && python="$(VOICECLONE_HOME=/opt/fish voiceclone env create)" \
    && ln -s "$(dirname "$(dirname "$python")")" /opt/fish/current
ENV FISH_SPEECH_PYTHON=/opt/fish/current/bin/python

ENV VOICECLONE_HOME=/models
VOLUME /models
WORKDIR /work
ENTRYPOINT ["voiceclone"]
CMD ["--help"]
