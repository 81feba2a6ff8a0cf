#!/bin/sh
# usage: run_case.sh CASE SOURCE_DIR WORK_DIR: copies the build files, breaks one rule, configures.
set -eu
case_name=$1 source=$2 work=$3
rm -rf "$work"
mkdir -p "$work/s"
(cd "$source" && tar cf - --exclude=build --exclude=.git CMakeLists.txt CMakePresets.json cmake common \
  privacy client coordinator simulations) | tar xf - -C "$work/s"
cd "$work/s"
build_target=
case $case_name in
  wrong_edge) sed -i 's|DEPS |DEPS privacy/crypto |' common/wire/CMakeLists.txt ;;
  foreign_library) sed -i 's|DEPS |PRIVATE_LIBS OpenSSL::Crypto DEPS |' common/storage/CMakeLists.txt ;;
  unowned_library) sed -i 's|DEPS |PUBLIC_LIBS OpenMP::OpenMP_CXX DEPS |' common/model/CMakeLists.txt ;;
  demur_name_as_library) sed -i 's|DEPS |PUBLIC_LIBS demur::crypto DEPS |' common/wire/CMakeLists.txt ;;
  device_links_server_solver) sed -i 's|DEPS |DEPS common/learning_server |' client/CMakeLists.txt ;;
  coordinator_links_client) sed -i 's|DEPS |DEPS client |' coordinator/CMakeLists.txt ;;
  program_wrong_edge)
    echo 'demur_add_program(NAME bad PART client SOURCES app/main.cc DEPS coordinator)' >>client/CMakeLists.txt ;;
  no_row) sed -i '/"common\/storage  *:/d; s| common/storage||g' cmake/DemurParts.cmake ;;
  unordered_row) sed -i 's|"common/base            :"|"common/base            : privacy/crypto"|' cmake/DemurParts.cmake ;;
  unlinked_header)
    sed -i '1i #include "demur/crypto/hash.h"' common/model/src/update.cc
    build_target=demur_model ;;
  *) echo "unknown case $case_name"; exit 2 ;;
esac
cmake -G Ninja -S . -B ../b -DBUILD_TESTING=OFF 2>&1
[ -z "$build_target" ] || cmake --build ../b --target "$build_target" 2>&1
