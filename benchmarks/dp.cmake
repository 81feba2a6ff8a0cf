# Kept out of ctest. Google Benchmark is optional: without it there is no such target.
find_package(benchmark QUIET)
if(benchmark_FOUND)
  add_executable(demur_dp_benchmark dp_benchmark.cc)
  target_link_libraries(demur_dp_benchmark PRIVATE
    demur::base demur::model demur::crypto demur::seeded demur::dp benchmark::benchmark demur_flags)
endif()
