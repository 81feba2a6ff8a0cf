# Warnings and sanitizers, as a target that our own code links privately: they never reach a user.
add_library(demur_flags INTERFACE)
target_compile_options(demur_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual
  # GCC 12 sees overlaps, lengths and unset members in inlined std::string and std::vector code that cannot be
  # (GCC bugs 105651, 105329, 106199); they come and go with the optimiser.
  "$<$<CXX_COMPILER_ID:GNU>:-Wno-restrict;-Wno-stringop-overread;-Wno-stringop-overflow>"
  "$<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-maybe-uninitialized>"
  $<$<BOOL:${DEMUR_WERROR}>:-Werror>
  $<$<CONFIG:RelWithDebInfo>:-fstack-protector-strong>
  $<$<CONFIG:Debug>:-D_GLIBCXX_ASSERTIONS>)

if(NOT DEMUR_SANITIZE)
  target_compile_definitions(demur_flags INTERFACE $<$<CONFIG:RelWithDebInfo>:_FORTIFY_SOURCE=2>)
endif()

# Masks and fixed-point sums must repeat on every build: no contraction, no -march=native,
# no -ffast-math. Line tables are enough debug information and keep the links short.
add_compile_options(-ffp-contract=off "-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.")
foreach(config DEBUG RELWITHDEBINFO)
  string(REPLACE "-g" "-g1" CMAKE_CXX_FLAGS_${config} "${CMAKE_CXX_FLAGS_${config}}")
endforeach()
# Asserts belong to third-party code here; ours are DEMUR_CHECK, which stays in every build.
if(DEMUR_SANITIZE)
  add_compile_options("-fsanitize=${DEMUR_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options("-fsanitize=${DEMUR_SANITIZE}")
  if(DEMUR_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)  # Asio's fences; GCC cannot model them
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    add_compile_options(-fno-sanitize=function)
  endif()
endif()
if(DEMUR_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_compile_definitions(FUZZING_BUILD_MODE)
endif()
