# Debian packages only (packages.txt); nothing is fetched and nothing is vendored.
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(CapnProto REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(ZLIB REQUIRED)
if(BUILD_TESTING)
  find_package(GTest REQUIRED)
endif()

# Asio has no CMake package in Debian. The two ASIO_HAS_* lines let Clang tools read the code.
add_library(demur_asio INTERFACE)
set_target_properties(demur_asio PROPERTIES EXPORT_NAME asio)
target_compile_definitions(demur_asio INTERFACE
  ASIO_STANDALONE ASIO_NO_DEPRECATED ASIO_HAS_CO_AWAIT=1 ASIO_HAS_STD_COROUTINE=1)
target_link_libraries(demur_asio INTERFACE Threads::Threads)
install(TARGETS demur_asio EXPORT demurTargets)
