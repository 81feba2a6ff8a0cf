# Kept out of ctest. Google Benchmark is optional: without it there is no such target.
find_package(benchmark QUIET)
if(benchmark_FOUND)
  add_executable(demur_secagg_benchmark secagg_benchmark.cc)
  target_link_libraries(demur_secagg_benchmark PRIVATE
    demur::base demur::model demur::wire demur::crypto demur::seeded demur::dp demur::secagg
    benchmark::benchmark demur_flags)
endif()
