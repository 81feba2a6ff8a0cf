find_package(benchmark QUIET)
if(benchmark_FOUND)
  add_executable(demur_learning_benchmark learning_benchmark.cc)
  target_link_libraries(demur_learning_benchmark PRIVATE
    demur::base demur::model demur::seeded demur::learning demur::learning_local
    demur::learning_server benchmark::benchmark demur_flags)
endif()
