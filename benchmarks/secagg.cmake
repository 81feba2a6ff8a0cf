# Kept out of ctest. Google Benchmark is optional: without it there is no such target.
find_package(benchmark QUIET)
if(benchmark_FOUND)
  add_executable(demur_secagg_benchmark secagg_benchmark.cc)
  target_link_libraries(demur_secagg_benchmark PRIVATE
    demur::base demur::model demur::wire demur::crypto demur::seeded demur::dp demur::secagg
    benchmark::benchmark demur_flags)
  add_executable(demur_secagg_primitives_benchmark secagg_primitives_benchmark.cc)
  target_link_libraries(demur_secagg_primitives_benchmark PRIVATE
    demur::base demur::crypto demur::secagg benchmark::benchmark demur_flags)
endif()
# Needs no library, but belongs here: it measures times, which no test may.
add_executable(dudect_secagg EXCLUDE_FROM_ALL dudect_secagg.cc)
target_link_libraries(dudect_secagg PRIVATE demur::base demur::secagg demur_flags)
