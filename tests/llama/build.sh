#!/bin/sh
# Builds llama.cpp from the source package of llama-cpp-python into the environment $1: its own server and the package's
# (a quarter of an hour of one processor, 77 MB from PyPI; needs cmake, ninja and a C++ compiler).
set -eu
folder=$1 version=0.3.36
python3 -m venv "$folder"
pip="$folder/bin/python -m pip"
$pip install --quiet gguf safetensors numpy
$pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$folder/source" \
  "llama-cpp-python==$version"
tar -xzf "$folder/source/llama_cpp_python-$version.tar.gz" -C "$folder/source"
source="$folder/source/llama_cpp_python-$version"
cmake -S "$source/vendor/llama.cpp" -B "$folder/llama.cpp" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF \
  -DLLAMA_OPENSSL=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF
cmake --build "$folder/llama.cpp" --target llama-server
CMAKE_ARGS=-DLLAMA_BUILD=OFF $pip install --quiet "$source[server]" # it finds the library by LLAMA_CPP_LIB_PATH
touch "$folder/.built"
