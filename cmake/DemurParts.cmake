include_guard(GLOBAL)

# The architecture, as data (docs/architecture.md explains it). A row is "part : the parts it may
# link". A row may name only rows above it, so the graph has no cycle.
set(DEMUR_PARTS
  "common/base            :"
  "common/model           : common/base"
  "common/wire            : common/base common/model"
  "common/net             : common/base common/wire"
  "common/storage         : common/base"
  "common/learning        : common/base common/model"
  "common/learning_local  : common/base common/model common/learning"
  "common/learning_server : common/base common/model common/learning"
  "privacy/crypto         : common/base"
  "privacy/seeded         : common/base privacy/crypto"
  "privacy/dp             : common/base common/model privacy/crypto"
  "privacy/secagg         : common/base common/model common/wire privacy/crypto privacy/dp"
  "client                 : common/base common/model common/wire common/net common/storage common/learning common/learning_local privacy/crypto privacy/dp privacy/secagg"
  "authority              : common/base common/wire common/net common/storage privacy/crypto privacy/secagg"
  "coordinator            : common/base common/model common/wire common/net common/storage common/learning common/learning_server privacy/crypto privacy/dp privacy/secagg"
  "simulations            : common/base common/model common/wire common/net common/storage common/learning common/learning_local common/learning_server privacy/crypto privacy/seeded privacy/dp privacy/secagg client authority coordinator")

# Parts that do not live in a folder of their own name: both halves of an algorithm stand in one
# folder but are two targets, so that a device links no server solver; the authority is a program
# of the operator's and stands beside the coordinator, which never links it.
set(DEMUR_FOLDERS
  "common/learning_local  : common/algorithms"
  "common/learning_server : common/algorithms"
  "authority              : coordinator/authority")

# Third-party library : the parts that may link it.
set(DEMUR_OWNERS
  "OpenSSL::Crypto               : privacy/crypto common/net"
  "OpenSSL::SSL                  : common/net"
  "CapnProto::capnp              : common/wire"
  "SQLite::SQLite3               : common/storage"
  "Eigen3::Eigen                 : common/learning common/learning_local common/learning_server simulations"
  "demur_asio                    : common/net client authority coordinator simulations"
  "tomlplusplus::tomlplusplus    : common/base"
  "nlohmann_json::nlohmann_json  : common/base"
  "spdlog::spdlog                : common/base"
  "CLI11::CLI11                  : client authority coordinator simulations"
  "ZLIB::ZLIB                    : simulations"
  "Threads::Threads              : common/base common/net client authority coordinator simulations")

# Reads `table` into ${prefix}<first column> = list. Stops on a name that no earlier row defines.
function(_demur_read_table table prefix check_order)
  set(known "")
  foreach(row IN LISTS ${table})
    # A library name holds "::": the separator is the last colon that has a blank before it.
    if(row MATCHES "^([^ ]+) +:(.*)$")
      set(name "${CMAKE_MATCH_1}")
      separate_arguments(values UNIX_COMMAND "${CMAKE_MATCH_2}")
    else()
      message(FATAL_ERROR "layering: cannot read the row '${row}' of ${table}")
    endif()
    if(check_order)
      foreach(value IN LISTS values)
        if(NOT value IN_LIST known)
          message(FATAL_ERROR "layering: row '${name}' names '${value}': no row above")
        endif()
      endforeach()
    endif()
    list(APPEND known "${name}")
    set("${prefix}${name}" "${values}" PARENT_SCOPE)
  endforeach()
  set("${prefix}names" "${known}" PARENT_SCOPE)
endfunction()
_demur_read_table(DEMUR_PARTS demur_edges_ TRUE)
_demur_read_table(DEMUR_FOLDERS demur_folder_ FALSE)
_demur_read_table(DEMUR_OWNERS demur_owner_ FALSE)

# Stops configure unless `part` may depend on every part of `deps`; sets `out` to their targets.
function(_demur_check_deps part deps out)
  if(NOT part IN_LIST demur_edges_names)
    message(FATAL_ERROR "layering: '${part}' has no row in DEMUR_PARTS (cmake/DemurParts.cmake)")
  endif()
  set(targets "")
  foreach(dep IN LISTS deps)
    if(NOT dep IN_LIST demur_edges_${part} AND NOT dep STREQUAL part)
      message(FATAL_ERROR "layering: ${part} may not depend on ${dep}")
    endif()
    get_filename_component(dep_name "${dep}" NAME)
    list(APPEND targets "demur::${dep_name}")
  endforeach()
  set(${out} "${targets}" PARENT_SCOPE)
endfunction()

# Stops configure unless `part` may link every library of `libs`. The list is an allow list: a
# library without an owner is refused as well.
function(_demur_check_libs part libs)
  foreach(lib IN LISTS libs)
    if(lib MATCHES "^demur::")
      message(FATAL_ERROR "layering: ${part} must name ${lib} under DEPS")
    elseif(NOT DEFINED demur_owner_${lib})
      message(FATAL_ERROR "layering: ${lib} has no row in DEMUR_OWNERS (cmake/DemurParts.cmake)")
    elseif(NOT part IN_LIST demur_owner_${lib})
      message(FATAL_ERROR "layering: ${lib} belongs to ${demur_owner_${lib}}; ${part} may not link it")
    endif()
  endforeach()
endfunction()

# demur_add_part(PART privacy/secagg SOURCES src/a.cc DEPS privacy/crypto
#                [PUBLIC_LIBS ..] [PRIVATE_LIBS ..] [INCLUDE dir])
# Makes demur::<last name> in the part's folder. Public headers: <INCLUDE>/demur/<last name>/
# (INCLUDE is "include" unless given); every part has its own include root, so that a header of a
# part that is not linked is not found.
function(demur_add_part)
  cmake_parse_arguments(PARSE_ARGV 0 A "OPTIMISE_ALWAYS" "PART;INCLUDE" "SOURCES;DEPS;PUBLIC_LIBS;PRIVATE_LIBS")
  if(A_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "demur_add_part(${A_PART}): unknown arguments: ${A_UNPARSED_ARGUMENTS}")
  endif()
  set(folder "${A_PART}")
  if(DEFINED demur_folder_${A_PART})
    set(folder "${demur_folder_${A_PART}}")
  endif()
  file(RELATIVE_PATH here "${PROJECT_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
  if(NOT here STREQUAL folder)
    message(FATAL_ERROR "layering: part '${A_PART}' must be defined in '${folder}', not in '${here}'")
  endif()
  _demur_check_deps("${A_PART}" "${A_DEPS}" deps)
  _demur_check_libs("${A_PART}" "${A_PUBLIC_LIBS}")
  _demur_check_libs("${A_PART}" "${A_PRIVATE_LIBS}")
  get_filename_component(name "${A_PART}" NAME)
  if(NOT A_INCLUDE)
    set(A_INCLUDE include)
  endif()
  file(GLOB roots RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}/${A_INCLUDE}/demur"
    "${CMAKE_CURRENT_SOURCE_DIR}/${A_INCLUDE}/demur/*")
  if(NOT roots STREQUAL name)
    message(FATAL_ERROR "layering: public headers of ${A_PART} must live in "
      "${here}/${A_INCLUDE}/demur/${name} only, found '${roots}'")
  endif()

  add_library(demur_${name} STATIC ${A_SOURCES})
  add_library(demur::${name} ALIAS demur_${name})
  set_target_properties(demur_${name} PROPERTIES
    EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  target_compile_features(demur_${name} PUBLIC cxx_std_20)
  target_include_directories(demur_${name}
    PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/${A_INCLUDE}>
           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
  target_link_libraries(demur_${name}
    PUBLIC ${deps} ${A_PUBLIC_LIBS}
    PRIVATE ${A_PRIVATE_LIBS} $<BUILD_INTERFACE:demur_flags>)
  if(A_OPTIMISE_ALWAYS AND DEMUR_SANITIZE)
    target_compile_options(demur_${name} PRIVATE -O1)
  endif()
  install(TARGETS demur_${name} EXPORT demurTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY ${A_INCLUDE}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endfunction()

# demur_add_program(NAME demur-client PART client SOURCES app/main.cc DEPS .. [LIBS ..])
# An executable obeys the row of the part it belongs to.
function(demur_add_program)
  cmake_parse_arguments(PARSE_ARGV 0 A "" "NAME;PART" "SOURCES;DEPS;LIBS")
  if(A_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "demur_add_program(${A_NAME}): unknown arguments: ${A_UNPARSED_ARGUMENTS}")
  endif()
  _demur_check_deps("${A_PART}" "${A_DEPS}" deps)
  _demur_check_libs("${A_PART}" "${A_LIBS}")
  add_executable(${A_NAME} ${A_SOURCES})
  target_link_libraries(${A_NAME} PRIVATE ${deps} ${A_LIBS} demur_flags)
  set_target_properties(${A_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  install(TARGETS ${A_NAME} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# demur_add_test(NAME base LABEL unit SOURCES .. PARTS common/base .. [LIBS ..] [DEFINES ..])
# Tests see every part; each case becomes a ctest entry "<label>.<name>.<Suite>.<Case>".
function(demur_add_test)
  cmake_parse_arguments(PARSE_ARGV 0 A "" "NAME;LABEL;TIMEOUT" "SOURCES;PARTS;LIBS;DEFINES")
  if(A_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "demur_add_test(${A_NAME}): unknown arguments: ${A_UNPARSED_ARGUMENTS}")
  endif()
  set(deps "")
  foreach(part IN LISTS A_PARTS)
    get_filename_component(part_name "${part}" NAME)
    list(APPEND deps "demur::${part_name}")
  endforeach()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  set(target "demur_${A_LABEL}_${A_NAME}_test")
  add_executable(${target} ${A_SOURCES})
  target_link_libraries(${target} PRIVATE ${deps} ${A_LIBS} demur_test_support GTest::gtest_main demur_flags)
  target_compile_definitions(${target} PRIVATE ${A_DEFINES})
  gtest_discover_tests(${target}
    TEST_PREFIX "${A_LABEL}.${A_NAME}." DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS "${A_LABEL}" TIMEOUT ${A_TIMEOUT})
endfunction()

# demur_add_fuzzer(NAME frame SOURCES frame_fuzz.cc PARTS ..): libFuzzer target with its corpus.
function(demur_add_fuzzer)
  cmake_parse_arguments(PARSE_ARGV 0 A "" "NAME" "SOURCES;PARTS;LIBS")
  set(deps "")
  foreach(part IN LISTS A_PARTS)
    get_filename_component(part_name "${part}" NAME)
    list(APPEND deps "demur::${part_name}")
  endforeach()
  add_executable(${A_NAME}_fuzz ${A_SOURCES})
  target_link_libraries(${A_NAME}_fuzz PRIVATE ${deps} ${A_LIBS} demur_flags)
  target_link_options(${A_NAME}_fuzz PRIVATE -fsanitize=fuzzer)
  target_compile_options(${A_NAME}_fuzz PRIVATE -fsanitize=fuzzer)
  set_target_properties(${A_NAME}_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/fuzz")
endfunction()
